package amqp

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"sync"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// These are the time limits of one connection.
const (
	dialTimeout  = 10 * time.Second // from dial to the end of the handshake
	heartbeat    = 10 * time.Second // unless the URL says otherwise
	writeTimeout = 10 * time.Second // of one write to the socket
	closeTimeout = 2 * time.Second
)

// Why a message was not sent, apart from what the broker says.
var (
	errGone          = errors.New("the connection to the broker was lost")
	errWithheld      = errors.New("it was no longer this relay's to send")
	errBlocked       = errors.New("the broker has blocked publishers")
	errChannelClosed = errors.New("the channel was closed")
	errFull          = errors.New("earlier messages to this destination still await the broker's confirm")
)

// errorText is the text of err without the library's decoration: the broker's code
// and words where the broker spoke.
func errorText(err error) string {
	var e *amqp091.Error
	switch {
	case errors.As(err, new(*Trouble)):
		return err.Error()
	case !errors.As(err, &e):
		return err.Error()
	case e.Server:
		return fmt.Sprintf("%d %s", e.Code, e.Reason)
	}
	return e.Reason
}

// connection is one connection from dial to close, with what is known through it.
type connection struct {
	at       address
	conn     *amqp091.Connection
	socket   *socket
	allowed  func(shard int16) bool
	closes   chan *amqp091.Error
	blocks   chan amqp091.Blocking
	gone     chan struct{} // closed when the connection is given up
	gate     atomic.Pointer[gate]
	window   int // of one destination's channel
	own      int // how many destinations have a channel of their own
	seed     maphash.Seed
	frame    int // the largest frame, in bytes
	topology *topology
	types    *exchangeTypes
	suspects *suspects

	// The same four for what rows name, which shares nothing with the operator's destinations but the socket.
	rows        *rowChecks
	rowTypes    *exchangeTypes
	rowSuspects *suspects
	rowChannels *rowChannels

	mu       sync.Mutex
	channels map[string]*call[*channel] // of the operator's destinations

	lifeMu     sync.Mutex
	ended      bool
	goroutines sync.WaitGroup
}

// gate is passed by publishes as long as it is not shut.
type gate struct {
	shut   chan struct{}
	reason string // set before shut is closed
}

// connect connects to the first address that lets it, beginning with the first each time. The broker
// shows the name. The error tells of all, and Troubles of those that gave no connection.
func (a *Destination) connect(ctx context.Context, name string) (*connection, error) {
	var failed troubles
	defer func() { a.note(failed) }()
	for _, at := range a.addresses {
		c, err := a.connectTo(ctx, at, name)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var t *Trouble
		errors.As(err, &t)
		failed = append(failed, t)
	}
	return nil, failed
}

// connectTo dials one address and shakes hands, for at most dialTimeout or until ctx ends. The error is
// a Trouble.
func (a *Destination) connectTo(ctx context.Context, at address, name string) (*connection, error) {
	socket := &socket{}
	if len(a.addresses) > 1 { // the others wait for their turn
		socket.limit = dialTimeout / 3
	}
	conn, err := amqp091.DialConfig(at.url, amqp091.Config{
		Heartbeat:  heartbeat,
		Properties: amqp091.Table{"product": "relay", "connection_name": name},
		Dial:       func(network, addr string) (net.Conn, error) { return socket.dial(ctx, network, addr) },
	})
	if err != nil {
		socket.Close() // the library leaves it open after some failures
		return nil, at.explain(ctx, err, socket)
	}
	socket.established()
	c := &connection{
		at: at, conn: conn, socket: socket, allowed: a.cfg.Allowed, window: a.cfg.Window,
		closes:   conn.NotifyClose(make(chan *amqp091.Error, 1)),
		blocks:   conn.NotifyBlocked(make(chan amqp091.Blocking, 16)),
		gone:     make(chan struct{}),
		frame:    defaultFrame,
		channels: make(map[string]*call[*channel]),
		own:      min(ownChannels, int(conn.Config.ChannelMax)/4),
		seed:     maphash.MakeSeed(),
	}
	if agreed := conn.Config.FrameSize; agreed > 0 {
		c.frame = min(agreed, defaultFrame)
	}
	c.topology = newTopology(c)
	c.types = newExchangeTypes(c, c.onScratchChannel)
	c.suspects = newSuspects(c, c.topology.forgetAll)
	c.rows = newRowChecks(c)
	c.rowTypes = newExchangeTypes(c, c.rows.onChannel)
	c.rowSuspects = newSuspects(c, func() {})
	c.rowChannels = newRowChannels(c, min(maxRowChannels, int(conn.Config.ChannelMax)/4))
	c.gate.Store(&gate{shut: make(chan struct{})})
	return c, nil
}

// close ends the connection and waits for its goroutines. A plain Close would wait for
// ever on a broker that has stopped reading, and so would a publish inside a write: the
// socket is closed under both when the time is over.
func (c *connection) close() {
	c.lifeMu.Lock()
	c.ended = true
	c.lifeMu.Unlock()
	close(c.gone)
	if c.conn.IsClosed() {
		c.socket.Close()
	}
	force := time.AfterFunc(closeTimeout, func() { c.socket.Close() })
	defer force.Stop()
	// Its error is of no use: the connection is closed whatever it says.
	_ = c.conn.CloseDeadline(time.Now().Add(closeTimeout))
	c.goroutines.Wait()
}

// spawn runs f in a goroutine that close waits for. It reports false, and runs nothing,
// once the connection is being closed.
func (c *connection) spawn(f func()) bool {
	c.lifeMu.Lock()
	defer c.lifeMu.Unlock()
	if c.ended {
		return false
	}
	c.goroutines.Go(f)
	return true
}

// isGone reports whether nothing can go over this connection any more.
func (c *connection) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return c.conn.IsClosed()
	}
}

// setBlocked shuts the gate when the broker raises an alarm, and opens it after.
func (c *connection) setBlocked(blocked bool, reason string) {
	_, already := c.blockedBy()
	switch {
	case blocked && !already:
		gate := c.gate.Load()
		gate.reason = reason
		close(gate.shut)
	case !blocked && already:
		c.gate.Store(&gate{shut: make(chan struct{})})
	}
}

// blockedBy tells whether the broker refuses publishes now, and its reason.
func (c *connection) blockedBy() (reason string, blocked bool) {
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
func (c *connection) await(ctx context.Context, done <-chan struct{}) error {
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
		return errBlocked
	case <-c.gone:
		return errGone
	}
}
