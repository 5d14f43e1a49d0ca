package amqp

import (
	"context"
	"errors"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
	"relay/wait"
)

const (
	// repliesPrefetch is how many replies the broker hands out before they are acked, and
	// repliesAtOnce how many are being stored at once: the others wait for their turn, or
	// until they may be tried again.
	repliesPrefetch = 64
	repliesAtOnce   = 8
	// repliesEvery is the interval at which the relay looks whether a subscription wants replies.
	repliesEvery = 250 * time.Millisecond
	// repliesAgain is the pause before consuming is tried again, and before a reply is that could not be stored.
	repliesAgain = time.Second
	// repliesSay is the least time between two log lines about such failures: the text of a lost
	// connection differs at each try, and several replies are handled at once.
	repliesSay = 10 * time.Second
)

// acknowledger takes what consumers say. An error says that it cannot now and that they
// should try again.
type acknowledger interface {
	Acknowledge(ctx context.Context, token string, body []byte) (relay.AckResult, error)
}

// Replies says how consumers of the broker acknowledge.
type Replies struct {
	// Queue is where they reply to, one for each database. It is empty if they cannot.
	Queue string
	// Key signs the tokens, which travel as correlation ids.
	Key relay.AckKey
	// Wanted reports whether a subscription's consumers acknowledge.
	Wanted func() bool
	// Taker takes what they say.
	Taker acknowledger
}

// ReplyQueue is the queue of replies of a database.
func ReplyQueue(database string) string { return "relay.ack." + database }

func replyTarget(queue string) relay.Target {
	return relay.Target{Kind: relay.TargetQueue, Queue: queue}
}

// runReplies takes replies from when a subscription wants them until ctx ends. Its connection
// publishes nothing: while the broker blocks publishers it reads nothing from a connection that does,
// and that would hold the acks of replies back.
func (a *Destination) runReplies(ctx context.Context) {
	for !a.cfg.Replies.Wanted() {
		if !wait.For(ctx, repliesEvery) {
			return
		}
	}
	keepConnected(ctx, func() (lasted time.Duration) {
		c, err := a.connect(ctx, "relay: acknowledgements")
		if err == nil {
			connected := time.Now()
			err = a.takeReplies(ctx, c)
			lasted = time.Since(connected)
		}
		if ctx.Err() == nil {
			a.sayUntaken(err)
		}
		return lasted
	})
}

// sayUntaken logs why no replies can be taken.
func (a *Destination) sayUntaken(err error) {
	if failures, say := a.untaken.more(); say {
		a.cfg.Log.Warn("acknowledgements cannot be taken from the broker; trying again", "queue", a.cfg.Replies.Queue, "failures", failures, "error", errorText(err))
	}
}

// takeReplies consumes the replies of this connection until ctx or the connection ends.
func (a *Destination) takeReplies(ctx context.Context, c *connection) error {
	defer c.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.spawn(func() {
		for range c.blocks { // what publishes nothing is not blocked, but the library waits for a reader
		}
	})
	c.spawn(func() {
		select {
		case err := <-c.closes:
			if err == nil {
				err = amqp091.ErrClosed
			}
			cancel(err)
		case <-c.gone:
		}
	})
	for {
		err := a.consumeReplies(ctx, c)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		a.sayUntaken(err)
		if !wait.For(ctx, repliesAgain) {
			return context.Cause(ctx)
		}
	}
}

// consumeReplies declares the queue if need be and takes replies until ctx or the channel
// ends.
func (a *Destination) consumeReplies(ctx context.Context, c *connection) error {
	if err := c.topology.ensure(ctx, replyTarget(a.cfg.Replies.Queue)); err != nil {
		return err
	}
	ch, err := c.conn.Channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	if err := ch.Qos(repliesPrefetch, 0, false); err != nil {
		return err
	}
	replies, err := ch.ConsumeWithContext(ctx, a.cfg.Replies.Queue, "", false, false, false, false, nil)
	if err != nil {
		c.topology.forget(entity{queue: true, name: a.cfg.Replies.Queue})
		return err
	}
	var under sync.WaitGroup
	turns := make(chan struct{}, repliesAtOnce)
	for reply := range replies {
		under.Go(func() { a.takeReply(ctx, reply, turns) })
	}
	under.Wait()
	c.topology.forget(entity{queue: true, name: a.cfg.Replies.Queue})
	return errors.New("the broker has ended the consumer: the queue was deleted, or the channel closed")
}

// takeReply acks a reply when it is stored, or can never be: what means nothing is counted
// and dropped. While the database does not answer it waits here, not in a loop through the
// broker, which would give it up after some rounds.
func (a *Destination) takeReply(ctx context.Context, reply amqp091.Delivery, turns chan struct{}) {
	body := reply.Body[:min(len(reply.Body), relay.MaxAckBody+1)]
	for {
		turns <- struct{}{}
		_, err := a.cfg.Replies.Taker.Acknowledge(ctx, reply.CorrelationId, body)
		<-turns
		if err == nil {
			// If the ack is lost the reply comes again and is a repetition.
			_ = reply.Ack(false)
			return
		}
		if failures, say := a.unstored.more(); say && ctx.Err() == nil {
			a.cfg.Log.Warn("an acknowledgement cannot be stored; trying again", "queue", a.cfg.Replies.Queue, "failures", failures, "error", err)
		}
		if !wait.For(ctx, repliesAgain) {
			return
		}
	}
}

// worry counts failures and decides which of them are logged: one in a while. The zero value has counted none.
type worry struct {
	mu       sync.Mutex
	failures int
	said     time.Time
}

// more counts one more failure. It reports whether it is to be logged now, and how many there were
// since the last one that was logged.
func (w *worry) more() (failures int, say bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures++
	if time.Since(w.said) < repliesSay {
		return 0, false
	}
	failures, w.failures, w.said = w.failures, 0, time.Now()
	return failures, true
}
