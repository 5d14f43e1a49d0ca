// Package retry decides when a failed delivery goes again and when it is given up. It turns the outcome of an attempt
// into the new state of the delivery. It has no clock and no I/O.
package retry

import (
	"fmt"
	"time"

	"relay"
)

// Policy says when a failed delivery goes again and when it is given up.
type Policy struct {
	// Backoff holds the intervals after the first, second, … failed attempt; the last
	// repeats (RELAY_BACKOFF). It must not be empty.
	Backoff []time.Duration
	// MaxAttempts is the number of attempts after which a delivery is dead
	// (RELAY_MAX_ATTEMPTS). It must be positive.
	MaxAttempts int
	// GiveUpAfter ends a delivery as dead so long after it was due (RELAY_GIVE_UP_AFTER).
	// Zero: never.
	GiveUpAfter time.Duration
}

const (
	// overdueBy is how long after the time at which it is to be given up a delivery is looked at.
	overdueBy = 10 * time.Millisecond
	// unknownAfter is when a message whose outcome is unknown goes again. It counts no attempt.
	unknownAfter = time.Second
)

// Open is the state of a delivery whose message is open.
type Open struct {
	Status         relay.DeliveryStatus
	Reason         relay.Reason
	Attempts       int
	HandleAttempts int
	Accepted       bool // the destination took it once: it holds its key no more
}

// Change is the new state of one delivery. One without a subscription is a rejected message.
type Change struct {
	ID          relay.DeliveryID
	Target      string
	Destination string
	Status      relay.DeliveryStatus
	Reason      relay.Reason
	Attempts    int
	// HandleAttempts are those that the destination answered with a failure of its logic.
	HandleAttempts int
	// Next is the delay until the next attempt, by the database's clock. Negative: none is set.
	Next time.Duration
	// Waited is how long the delivery has been due.
	Waited       time.Duration
	ResponseCode int         // zero: none
	Error        string      // empty: none
	Cause        relay.Cause // the class of Error; empty: nothing failed
	Attempt      *relay.Attempt
	// Acknowledges says that the consumer acknowledges, and may have done so already.
	Acknowledges bool
	// AckAttempt is the attempt whose failure the consumer told. Zero: none.
	AckAttempt int
}

// Past is what a delivery has behind it when an attempt begins, or when it ends without one.
type Past struct {
	Open
	// Waited is how long the delivery has been due.
	Waited time.Duration
}

// Unchanged is what the table says of a delivery before an attempt.
func Unchanged(d *relay.Delivery, past Past) Change {
	s := d.Subscriber
	return Change{
		ID:     relay.DeliveryID{Message: d.Message.ID, Subscription: s.Name, Instance: d.Instance},
		Target: s.Target.Raw, Destination: d.Circuit(),
		Attempts: past.Attempts, HandleAttempts: past.HandleAttempts, Next: -1,
		Acknowledges: s.AckByConsumer || past.Accepted,
	}
}

// Change turns the outcome of an attempt, or why there was none, into what is written. spread
// returns numbers from 0 to 1 by which the interval until the next attempt is spread, so that what failed together does
// not come again together.
func (p Policy) Change(d *relay.Delivery, past Past, o relay.Outcome, spread func() float64) Change {
	c := Unchanged(d, past)
	c.ResponseCode, c.Error, c.Cause = o.Code, o.Error, o.Cause
	switch o.Class {
	case relay.ClassHandled:
		c.Status = relay.DeliveryHandled
	case relay.ClassDelivered:
		c.Status = relay.DeliveryDelivered
	case relay.ClassAwaitingAck:
		c.Status, c.Next = relay.DeliveryAwaitingAck, d.Subscriber.AckTimeout
	case relay.ClassPushFailed:
		p.fail(&c, d, past, o, relay.DeliveryPushFailed, spread)
	case relay.ClassHandleFailed:
		c.HandleAttempts++
		p.fail(&c, d, past, o, relay.DeliveryHandleFailed, spread)
	case relay.ClassDead, relay.ClassRejected:
		c.Status = relay.DeliveryDead
	case relay.ClassUnknown:
		c.Status, c.Next = relay.DeliveryPushFailed, unknownAfter
	default:
		p.wait(&c, past, o)
	}
	if o.Class.Attempted() {
		c.Attempts = d.Attempt
		c.Attempt = &relay.Attempt{
			Number: d.Attempt, Started: o.Started, Duration: o.Duration,
			Outcome: recorded(o), Response: o.Response,
		}
	}
	return c
}

// wait has a delivery wait that was not attempted: what failed before still shows how, what was accepted waits for
// another attempt.
func (p Policy) wait(c *Change, past Past, o relay.Outcome) {
	if c.Status = past.Status; c.Status == "" || c.Status == relay.DeliveryAwaitingAck {
		c.Status = relay.DeliveryWaiting
	}
	c.Reason = o.Reason
	if o.Circuit != "" {
		c.Destination = o.Circuit
	}
	if o.Lack != relay.ResourceNone {
		c.Next = p.notLater(past.Waited, o.RetryAfter)
	}
}

// fail decides between another attempt and the end.
func (p Policy) fail(c *Change, d *relay.Delivery, past Past, o relay.Outcome, status relay.DeliveryStatus, spread func() float64) {
	s := d.Subscriber
	switch {
	case d.Attempt >= p.most(s), s.MaxHandleAttempts > 0 && c.HandleAttempts >= s.MaxHandleAttempts:
		c.Status = relay.DeliveryDead
	case p.overdue(past.Waited):
		c.Status = relay.DeliveryDead
		c.Error = p.gaveUp(o.Error)
	default:
		c.Status = status
		c.Next = p.notLater(past.Waited, max(p.Interval(s, d.Attempt, spread), o.RetryAfter))
	}
	if c.Status == relay.DeliveryDead && o.Gone {
		c.vanish()
	}
}

// Over returns the change of a delivery that ends without another attempt. gone says that it is one to an instance
// that does not exist any more.
func (p Policy) Over(d *relay.Delivery, past Past, gone bool) (c Change, over bool) {
	c = Unchanged(d, past)
	c.Status = relay.DeliveryDead
	switch {
	case past.Status == relay.DeliveryAwaitingAck && past.Attempts >= p.most(d.Subscriber):
		c.Cause, c.Error = relay.CauseNoAck, silent(d.Subscriber, past.Attempts)
	case p.overdue(past.Waited):
		c.Cause, c.Error = relay.CauseGaveUp, p.gaveUp("")
	default:
		return c, false
	}
	if gone {
		c.vanish()
	}
	return c, true
}

// Word is what a consumer said about an attempt.
type Word struct {
	relay.Ack
	Attempt  int
	Received time.Time
	Counted  bool // the answer to the attempt told the failure already
}

// Acknowledged turns what a consumer said about the present attempt into what is written.
func (p Policy) Acknowledged(d *relay.Delivery, past Past, w Word, spread func() float64) Change {
	past.Accepted = true
	c := Unchanged(d, past)
	c.AckAttempt = w.Attempt
	if w.Handled {
		c.Status = relay.DeliveryHandled
		return c
	}
	if !w.Counted {
		c.HandleAttempts++
	}
	c.Cause = relay.CauseConsumerNo
	c.Error = "the consumer acknowledged that it failed"
	if w.Error != "" {
		c.Error += ": " + w.Error
	}
	if c.Status = relay.DeliveryDead; w.Retry {
		p.fail(&c, d, past, relay.Outcome{Error: c.Error}, relay.DeliveryHandleFailed, spread)
	}
	c.Attempt = &relay.Attempt{Number: w.Attempt, Started: w.Received, Outcome: relay.DeliveryHandleFailed}
	return c
}

// Interval returns the time to wait after some attempts until the next one: the subscriber's interval or the policy's,
// spread by a tenth to either side.
func (p Policy) Interval(s *relay.Subscriber, attempts int, spread func() float64) time.Duration {
	intervals := p.Backoff
	if len(s.Backoff) > 0 {
		intervals = s.Backoff
	}
	interval := intervals[min(max(attempts, 1), len(intervals))-1]
	return time.Duration(float64(interval) * (0.9 + 0.2*spread()))
}

// most is the number of attempts after which a delivery is dead.
func (p Policy) most(s *relay.Subscriber) int {
	if s.MaxAttempts > 0 {
		return s.MaxAttempts
	}
	return p.MaxAttempts
}

// overdue reports whether a delivery has been due for too long.
func (p Policy) overdue(waited time.Duration) bool {
	return p.GiveUpAfter > 0 && waited > p.GiveUpAfter
}

// notLater shortens the time until the next attempt to when the delivery is to be given up.
func (p Policy) notLater(waited, d time.Duration) time.Duration {
	if p.GiveUpAfter <= 0 {
		return d
	}
	return min(d, max(0, p.GiveUpAfter-waited)+overdueBy)
}

// vanish cancels the delivery to an instance that does not exist any more: no person can mend
// it, and it must not make the message dead for the others.
func (c *Change) vanish() {
	c.Status = relay.DeliveryCancelled
	c.Error += "; the host name does not resolve to this instance any more"
}

// gaveUp is the error of a delivery that was due for too long.
func (p Policy) gaveUp(last string) string {
	text := fmt.Sprintf("given up: due for more than %s (RELAY_GIVE_UP_AFTER)", p.GiveUpAfter)
	if last != "" {
		text += "; last: " + last
	}
	return text
}

// silent is the error of a delivery whose consumer never acknowledged it.
func silent(s *relay.Subscriber, attempts int) string {
	return fmt.Sprintf("no acknowledgement within %s (ack_timeout) of attempt %d, which was the last (max_attempts)", s.AckTimeout, attempts)
}

// recorded is the word that relay.attempt keeps of an outcome.
func recorded(o relay.Outcome) relay.DeliveryStatus {
	switch o.Class {
	case relay.ClassHandled:
		return relay.DeliveryHandled
	case relay.ClassDelivered:
		return relay.DeliveryDelivered
	case relay.ClassAwaitingAck:
		return relay.DeliveryAwaitingAck
	case relay.ClassHandleFailed:
		return relay.DeliveryHandleFailed
	case relay.ClassDead:
		if !o.Push {
			return relay.DeliveryHandleFailed
		}
	}
	return relay.DeliveryPushFailed
}
