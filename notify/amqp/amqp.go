package amqp

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"relay"
)

// These are the limits and defaults of the AMQP destination.
const (
	// defaultWindow is the number of publishes that RabbitMQ takes over one channel whatever
	// becomes of them: it reads no more from a connection when one of its channels has stopped and
	// 200 to 400 publishes wait for that channel (credit_flow_default_credit). A single
	// destination's rate is the same from 200 to 1,000.
	defaultWindow  = 200
	defaultTimeout = 10 * time.Second
	// noConnectionWait is how long a delivery waits for the connection to come back
	// before it counts as failed: long enough for a connection that was just cut.
	noConnectionWait = 500 * time.Millisecond
)

// Config says how to reach the broker and how many publishes may be under way.
type Config struct {
	// URL is an amqp:// or amqps:// URI (RELAY_AMQP_URL), with user, password and vhost as
	// https://www.rabbitmq.com/docs/uri-spec has it and the parameters of
	// https://www.rabbitmq.com/docs/uri-query-parameters, or several of a cluster with commas
	// between, which are tried in turn. It never appears in a log or an error.
	URL string
	// Window is how many publishes to one destination may await their confirm. Zero means 200.
	Window int
	// Timeout bounds one attempt of a subscriber that sets none. Zero means 10 seconds.
	Timeout time.Duration
	// Allowed reports whether a message of the shard may be published now. It is asked just
	// before, however long the message has waited for its turn. Nil means that it always may.
	Allowed func(shard int16) bool
	// Replies takes the acknowledgements of consumers. The zero value takes none.
	Replies Replies
	// Log takes changes of the connection. Nil means that nothing is logged.
	Log *slog.Logger
	// OnUp is called when the broker takes messages (again): a connection was made, or the broker
	// has unblocked it. It must return at once. Nil means that no function is called.
	OnUp func()
}

// Destination delivers messages to RabbitMQ over AMQP 0-9-1 with publisher confirms. It is a
// notify.Destination: all deliveries share one connection, those of one destination a channel,
// and the pipeline fills because many goroutines call Deliver at once. What a row names is declared in no
// case and shares no channel with what the operator names. Run must be running.
type Destination struct {
	cfg       Config
	addresses []address
	unstored  worry // replies that could not be stored
	untaken   worry // replies could not be consumed

	mu      sync.Mutex
	conn    *connection    // nil: none
	down    string         // why conn is nil
	failed  troubles       // of the last try
	lack    relay.Resource // of the relay's own, why conn is nil
	changed chan struct{}  // closed and replaced when conn is replaced
}

// New checks the URL and returns a destination that is not connected yet: Run
// connects it. The error never repeats the URL, which holds a password.
func New(cfg Config) (*Destination, error) {
	addresses, err := parseAddresses(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Window <= 0 {
		cfg.Window = defaultWindow
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Allowed == nil {
		cfg.Allowed = func(int16) bool { return true }
	}
	if cfg.OnUp == nil {
		cfg.OnUp = func() {}
	}
	return &Destination{cfg: cfg, addresses: addresses, down: "not connected yet", changed: make(chan struct{})}, nil
}

// Deliver publishes one message and waits for the broker's confirm. The classes:
//
//	confirmed and routed to a queue          delivered; awaiting_ack if the consumer acknowledges
//	returned by an exchange that keeps it    the same
//	returned as unroutable (312)             push failed
//	nacked on a live channel                 push failed
//	closes the channel it is alone on        push failed, with the broker's code
//	connection lost, or no confirm in time   unknown: it may have been stored
//	no connection                            push failed
//	blocked by an alarm of the broker        parked: it was not sent
//	no longer this relay's to send           parked without a reason: it was not sent
//	earlier ones await their confirm         parked: it was not sent
//	cannot be put into AMQP's frames         rejected: it was not sent
//	a row names what is missing or exclusive push failed: it was not sent
//	a row names what is reserved             rejected: it was not sent
func (a *Destination) Deliver(ctx context.Context, d *relay.Delivery) relay.Outcome {
	started := time.Now()
	out := a.deliver(ctx, d)
	out.Started, out.Duration = started, max(time.Since(started), 1)
	return out
}

func (a *Destination) deliver(ctx context.Context, d *relay.Delivery) relay.Outcome {
	m, err := newMessage(d)
	if err != nil {
		return relay.Outcome{Class: relay.ClassRejected, Cause: relay.Rejection(err.Error()).Cause(), Error: err.Error()}
	}
	ackable := d.Subscriber.AckByConsumer && a.cfg.Replies.Queue != ""
	if ackable {
		m.replyTo(a.cfg.Replies.Queue, d.AckToken(a.cfg.Replies.Key))
	}
	timeout := a.cfg.Timeout
	if d.Subscriber.Timeout > 0 {
		timeout = d.Subscriber.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		c, err := a.connection(ctx)
		if err != nil {
			return a.unconnected(err)
		}
		out, again := c.deliver(ctx, m)
		if !again {
			if ackable && out.Class == relay.ClassDelivered {
				out.Class = relay.ClassAwaitingAck
			}
			return out
		}
	}
}

// connection returns the live connection. Where there is none it waits for a moment, so
// that messages survive a cut without a failed attempt.
func (a *Destination) connection(ctx context.Context) (*connection, error) {
	c, down, changed := a.current()
	if c != nil {
		return c, nil
	}
	patience := time.NewTimer(noConnectionWait)
	defer patience.Stop()
	for c == nil {
		select {
		case <-changed:
		case <-patience.C:
			return nil, errors.New("no connection to the broker: " + down)
		case <-ctx.Done():
			return nil, errors.New("no connection to the broker: " + down)
		}
		c, down, changed = a.current()
	}
	return c, nil
}

// current returns the connection, or nil with the reason and what to wait for.
func (a *Destination) current() (c *connection, down string, changed <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil && a.conn.isGone() {
		return nil, "it was just lost", a.changed
	}
	return a.conn, a.down, a.changed
}

// set replaces the connection; nil says that there is none, and down why.
func (a *Destination) set(c *connection, down string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conn, a.down = c, down
	close(a.changed)
	a.changed = make(chan struct{})
}

// note keeps what the last try met.
func (a *Destination) note(failed troubles) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = failed
}

// Troubles are those of the last time that a connection was looked for, one for each address that gave none.
func (a *Destination) Troubles() []*Trouble {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

// State tells whether the broker takes messages, and in words how the connection is.
func (a *Destination) State() (up bool, text string) {
	c, down, _ := a.current()
	if c == nil {
		return false, "no connection to the broker: " + down
	}
	if reason, blocked := c.blockedBy(); blocked {
		return false, "blocked by the broker: " + reason
	}
	if len(a.addresses) > 1 {
		return true, "connected to " + c.at.String()
	}
	return true, "connected"
}
