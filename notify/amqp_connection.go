package notify

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Times of one connection.
const (
	amqpDialTimeout  = 10 * time.Second // from dial to the end of the handshake
	amqpHeartbeat    = 10 * time.Second // unless the URL says otherwise
	amqpWriteTimeout = 10 * time.Second // of one write to the socket
	amqpCloseTimeout = 2 * time.Second
)

// Why a message was not sent, apart from what the broker says.
var (
	errAMQPGone          = errors.New("the connection to the broker was lost")
	errAMQPWithheld      = errors.New("it was no longer this relay's to send")
	errAMQPBlocked       = errors.New("the broker has blocked publishers")
	errAMQPChannelClosed = errors.New("the channel was closed")
	errAMQPFull          = errors.New("earlier messages to this destination still await the broker's confirm")
)

// checkAMQPURL refuses what the library could not dial. The parsers' own errors quote
// pieces of the URL, and with them of the password.
func checkAMQPURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("malformed AMQP URL: write amqp://user:password@host:5672/vhost, with special characters percent-encoded")
	}
	if u.Scheme != "amqp" && u.Scheme != "amqps" {
		return errors.New("malformed AMQP URL: it must begin with amqp:// or amqps://")
	}
	if u.Hostname() == "" {
		return errors.New("malformed AMQP URL: no host")
	}
	if _, err := amqp.ParseURI(text); err != nil {
		return errors.New("malformed AMQP URL: bad port, vhost or parameter")
	}
	return nil
}

// amqpErrorText is the text of err without the library's decoration: the broker's code
// and words where the broker spoke.
func amqpErrorText(err error) string {
	var e *amqp.Error
	switch {
	case !errors.As(err, &e):
		return err.Error()
	case e.Server:
		return fmt.Sprintf("%d %s", e.Code, e.Reason)
	}
	return e.Reason
}

// amqpConnection is one connection from dial to close, with what is known through it.
type amqpConnection struct {
	conn     *amqp.Connection
	socket   *amqpSocket
	allowed  func(shard int16) bool
	closes   chan *amqp.Error
	blocks   chan amqp.Blocking
	gone     chan struct{} // closed when the connection is given up
	gate     atomic.Pointer[amqpGate]
	window   int // of one destination's channel
	own      int // how many destinations have a channel of their own
	seed     maphash.Seed
	frame    int // the largest frame, in bytes
	topology *amqpTopology
	types    *amqpExchangeTypes
	suspects *amqpSuspects

	// The same four for what rows name, which shares nothing with the operator's destinations but the socket.
	rows        *amqpRowChecks
	rowTypes    *amqpExchangeTypes
	rowSuspects *amqpSuspects
	rowChannels *amqpRowChannels

	mu       sync.Mutex
	channels map[string]*amqpCall[*amqpChannel] // of the operator's destinations

	lifeMu     sync.Mutex
	ended      bool
	goroutines sync.WaitGroup
}

// amqpGate is passed by publishes as long as it is not shut.
type amqpGate struct {
	shut   chan struct{}
	reason string // set before shut is closed
}

// connect dials the broker and shakes hands, for at most amqpDialTimeout or until ctx ends. The broker shows
// the name.
func (a *AMQP) connect(ctx context.Context, name string) (*amqpConnection, error) {
	socket := &amqpSocket{}
	conn, err := amqp.DialConfig(a.cfg.URL, amqp.Config{
		Heartbeat:  amqpHeartbeat,
		Properties: amqp.Table{"product": "relay", "connection_name": name},
		Dial:       func(network, addr string) (net.Conn, error) { return socket.dial(ctx, network, addr) },
	})
	if err != nil {
		socket.Close() // the library leaves it open after some failures
		return nil, err
	}
	socket.established()
	c := &amqpConnection{
		conn: conn, socket: socket, allowed: a.cfg.Allowed, window: a.cfg.Window,
		closes:   conn.NotifyClose(make(chan *amqp.Error, 1)),
		blocks:   conn.NotifyBlocked(make(chan amqp.Blocking, 16)),
		gone:     make(chan struct{}),
		frame:    defaultAMQPFrame,
		channels: make(map[string]*amqpCall[*amqpChannel]),
		own:      min(ownAMQPChannels, int(conn.Config.ChannelMax)/4),
		seed:     maphash.MakeSeed(),
	}
	if agreed := conn.Config.FrameSize; agreed > 0 {
		c.frame = min(agreed, defaultAMQPFrame)
	}
	c.topology = newAMQPTopology(c)
	c.types = newAMQPExchangeTypes(c, c.onScratchChannel)
	c.suspects = newAMQPSuspects(c, c.topology.forgetAll)
	c.rows = newAMQPRowChecks(c)
	c.rowTypes = newAMQPExchangeTypes(c, c.rows.onChannel)
	c.rowSuspects = newAMQPSuspects(c, func() {})
	c.rowChannels = newAMQPRowChannels(c, min(rowChannels, int(conn.Config.ChannelMax)/4))
	c.gate.Store(&amqpGate{shut: make(chan struct{})})
	return c, nil
}

// close ends the connection and waits for its goroutines. A plain Close would wait for
// ever on a broker that has stopped reading, and so would a publish inside a write: the
// socket is closed under both when the time is over.
func (c *amqpConnection) close() {
	c.lifeMu.Lock()
	c.ended = true
	c.lifeMu.Unlock()
	close(c.gone)
	if c.conn.IsClosed() {
		c.socket.Close()
	}
	force := time.AfterFunc(amqpCloseTimeout, func() { c.socket.Close() })
	defer force.Stop()
	// Its error is of no use: the connection is closed whatever it says.
	_ = c.conn.CloseDeadline(time.Now().Add(amqpCloseTimeout))
	c.goroutines.Wait()
}

// spawn runs f in a goroutine that close waits for. It reports false, and runs nothing,
// once the connection is being closed.
func (c *amqpConnection) spawn(f func()) bool {
	c.lifeMu.Lock()
	defer c.lifeMu.Unlock()
	if c.ended {
		return false
	}
	c.goroutines.Go(f)
	return true
}

// isGone reports whether nothing can go over this connection any more.
func (c *amqpConnection) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return c.conn.IsClosed()
	}
}

// setBlocked shuts the gate when the broker raises an alarm, and opens it after.
func (c *amqpConnection) setBlocked(blocked bool, reason string) {
	_, already := c.blockedBy()
	switch {
	case blocked && !already:
		gate := c.gate.Load()
		gate.reason = reason
		close(gate.shut)
	case !blocked && already:
		c.gate.Store(&amqpGate{shut: make(chan struct{})})
	}
}

// blockedBy tells whether the broker refuses publishes now, and its reason.
func (c *amqpConnection) blockedBy() (reason string, blocked bool) {
	gate := c.gate.Load()
	select {
	case <-gate.shut:
		return gate.reason, true
	default:
		return "", false
	}
}

// await waits for done, but not beyond the end of ctx, of the connection, or of the
// broker's patience.
func (c *amqpConnection) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.gate.Load().shut:
		return errAMQPBlocked
	case <-c.gone:
		return errAMQPGone
	}
}
