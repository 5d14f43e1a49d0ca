package machine

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

// change turns the outcome of an attempt into what is written.
func (p Policy) change(d *delivery, o relay.Outcome, m *Machine) Change {
	e := d.entry
	c := e.unchanged(d)
	c.ResponseCode, c.Error, c.Cause = o.Code, o.Error, o.Cause
	switch o.Class {
	case relay.ClassHandled:
		c.Status = relay.DeliveryHandled
	case relay.ClassDelivered:
		c.Status = relay.DeliveryDelivered
	case relay.ClassAwaitingAck:
		c.Status, c.Next = relay.DeliveryAwaitingAck, d.to.Subscriber.AckTimeout
	case relay.ClassPushFailed:
		p.fail(&c, d, o, relay.DeliveryPushFailed, m)
	case relay.ClassHandleFailed:
		c.HandleAttempts++
		p.fail(&c, d, o, relay.DeliveryHandleFailed, m)
	case relay.ClassDead, relay.ClassRejected:
		c.Status = relay.DeliveryDead
		if o.Gone {
			c.vanish()
		}
	default:
		c.Status, c.Next = relay.DeliveryPushFailed, unknownAfter
	}
	if o.Class.Attempted() && !o.Started.IsZero() {
		c.Attempts = d.to.Attempt
		c.Attempt = &Attempt{
			Number: d.to.Attempt, Started: o.Started, Duration: o.Duration,
			Outcome: recorded(o), Response: o.Response,
		}
	}
	return c
}

// fail decides between another attempt and the end.
func (p Policy) fail(c *Change, d *delivery, o relay.Outcome, status relay.DeliveryStatus, m *Machine) {
	s := d.to.Subscriber
	switch {
	case d.to.Attempt >= p.most(s), s.MaxHandleAttempts > 0 && c.HandleAttempts >= s.MaxHandleAttempts:
		c.Status = relay.DeliveryDead
	case p.overdue(d.entry.due, m.now):
		c.Status = relay.DeliveryDead
		c.Error = p.gaveUp(o.Error)
	default:
		c.Status = status
		interval := p.interval(s, d.to.Attempt)
		spread := time.Duration(float64(interval) * (0.9 + 0.2*m.random.Float64()))
		c.Next = p.notLater(d.entry.due, m.now, max(spread, o.RetryAfter))
	}
	if c.Status == relay.DeliveryDead && o.Gone {
		c.vanish()
	}
}

// over returns the change of a delivery that ends without another attempt.
func (p Policy) over(d *delivery, now time.Duration) (c Change, over bool) {
	e := d.entry
	c = e.unchanged(d)
	c.Status = relay.DeliveryDead
	switch {
	case e.open.Status == relay.DeliveryAwaitingAck && e.open.Attempts >= p.most(d.to.Subscriber):
		c.Cause, c.Error = relay.CauseNoAck, silent(d.to.Subscriber, e.open.Attempts)
		return c, true
	case p.overdue(e.due, now):
		c.Cause, c.Error = relay.CauseGaveUp, p.gaveUp("")
		return c, true
	}
	return c, false
}

// acknowledged turns what a consumer said about the present attempt into what is written.
func (p Policy) acknowledged(d *delivery, a *Acknowledged) Change {
	c := d.entry.unchanged(d)
	c.AckAttempt = a.Attempt
	if a.Ack.Handled {
		c.Status = relay.DeliveryHandled
		return c
	}
	if !a.Counted {
		c.HandleAttempts++
	}
	c.Cause = relay.CauseConsumerNo
	c.Error = "the consumer acknowledged that it failed"
	if a.Ack.Error != "" {
		c.Error += ": " + a.Ack.Error
	}
	if c.Status = relay.DeliveryDead; a.Ack.Retry {
		p.fail(&c, d, relay.Outcome{Error: c.Error}, relay.DeliveryHandleFailed, d.entry.m)
	}
	return c
}

// interval returns the time until the next attempt after so many, by the subscriber's
// intervals or the policy's.
func (p Policy) interval(s *relay.Subscriber, attempts int) time.Duration {
	intervals := p.Backoff
	if len(s.Backoff) > 0 {
		intervals = s.Backoff
	}
	return intervals[min(max(attempts, 1), len(intervals))-1]
}

// most is the number of attempts after which a delivery is dead.
func (p Policy) most(s *relay.Subscriber) int {
	if s.MaxAttempts > 0 {
		return s.MaxAttempts
	}
	return p.MaxAttempts
}

// overdue reports whether a delivery has been due for too long.
func (p Policy) overdue(due, now time.Duration) bool {
	return p.GiveUpAfter > 0 && now-due > p.GiveUpAfter
}

// notLater shortens the time until the next attempt to when the delivery is to be given up.
func (p Policy) notLater(due, now, d time.Duration) time.Duration {
	if p.GiveUpAfter <= 0 {
		return d
	}
	return min(d, max(0, due+p.GiveUpAfter-now)+overdueBy)
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
