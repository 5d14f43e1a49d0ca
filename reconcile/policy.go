package reconcile

import (
	"fmt"
	"math/rand/v2"
	"time"

	"relay"
	"relay/sql"
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

// Interval returns the time until the next attempt after so many: the interval that the
// subscriber or the policy gives, spread by 10 % to either side so that what failed
// together does not come again together.
func (p Policy) Interval(d *relay.Delivery, attempts int) time.Duration {
	intervals := p.Backoff
	if len(d.Subscriber.Backoff) > 0 {
		intervals = d.Subscriber.Backoff
	}
	interval := intervals[min(max(attempts, 1), len(intervals))-1]
	return time.Duration(float64(interval) * (0.9 + 0.2*rand.Float64()))
}

// overdueBy is how long after the time at which it is to be given up a delivery is looked at.
const overdueBy = 10 * time.Millisecond

// unknownAfter is when a message whose outcome is unknown goes again. It counts no attempt.
const unknownAfter = time.Second

// state is what a delivery had behind it before an attempt.
type state struct {
	taking         bool // the message was pending
	again          bool // it had ended before
	status         relay.DeliveryStatus
	attempts       int
	handleAttempts int
	due            time.Time
	accepted       bool // the destination took it at an earlier attempt
}

// overdue reports whether the delivery has been due for too long.
func (p Policy) overdue(s state, now time.Time) bool {
	return p.GiveUpAfter > 0 && now.Sub(s.due) > p.GiveUpAfter
}

// unchanged is what a delivery had before an attempt.
func unchanged(d *relay.Delivery, s state) sql.Change {
	return sql.Change{
		Delivery: sql.DeliveryID{Message: d.Message.ID, Subscription: d.Subscriber.Name, Instance: d.Instance},
		Shard:    d.Message.Shard, Target: d.Subscriber.Target.Raw, Circuit: d.Circuit(), Taking: s.taking, Again: s.again,
		Attempts: s.attempts, HandleAttempts: s.handleAttempts, NextAttempt: -1,
		Ackable: d.Subscriber.AckByConsumer || s.accepted, Due: s.due,
	}
}

// change turns an outcome into what is written.
func (p Policy) change(d *relay.Delivery, s state, o relay.Outcome) sql.Change {
	c := unchanged(d, s)
	c.ResponseCode, c.Error, c.Cause = o.Code, o.Error, o.Cause
	switch o.Class {
	case relay.ClassHandled:
		c.Status = relay.DeliveryHandled
	case relay.ClassDelivered:
		c.Status = relay.DeliveryDelivered
	case relay.ClassAwaitingAck:
		c.Status, c.NextAttempt = relay.DeliveryAwaitingAck, d.Subscriber.AckTimeout
	case relay.ClassPushFailed:
		p.fail(&c, d, s, o, relay.DeliveryPushFailed)
	case relay.ClassHandleFailed:
		c.HandleAttempts++
		p.fail(&c, d, s, o, relay.DeliveryHandleFailed)
	case relay.ClassDead, relay.ClassRejected:
		c.Status = relay.DeliveryDead
	case relay.ClassUnknown:
		c.Status, c.NextAttempt = relay.DeliveryPushFailed, unknownAfter
	default:
		c.Status, c.Reason = waitingStatus(s), o.Reason
		if o.Circuit != "" {
			c.Circuit = o.Circuit
		}
		if o.Lack != relay.ResourceNone {
			c.NextAttempt = p.notLater(s, o.RetryAfter)
		}
	}
	if o.Class.Attempted() {
		c.Attempts = d.Attempt
		c.Attempt = &sql.Attempt{
			Number: d.Attempt, Started: o.Started, Duration: o.Duration,
			Outcome: attemptOutcome(o), Response: o.Response,
		}
	}
	return c
}

// fail decides between another attempt and the end.
func (p Policy) fail(c *sql.Change, d *relay.Delivery, s state, o relay.Outcome, status relay.DeliveryStatus) {
	most := p.most(d.Subscriber)
	handled := d.Subscriber.MaxHandleAttempts
	switch {
	case d.Attempt >= most, handled > 0 && c.HandleAttempts >= handled:
		c.Status = relay.DeliveryDead
	case p.overdue(s, time.Now()):
		c.Status = relay.DeliveryDead
		c.Error = p.gaveUp(o.Error)
	default:
		c.Status = status
		c.NextAttempt = p.notLater(s, max(p.Interval(d, d.Attempt), o.RetryAfter))
	}
	if c.Status == relay.DeliveryDead && o.Gone {
		vanish(c)
	}
}

// notLater shortens the time until the next attempt to when the delivery is to be given up.
func (p Policy) notLater(s state, d time.Duration) time.Duration {
	if p.GiveUpAfter <= 0 {
		return d
	}
	return min(d, max(0, time.Until(s.due.Add(p.GiveUpAfter)))+overdueBy)
}

// vanish cancels the delivery to an instance that does not exist any more: nobody can mend
// it, and it must not make the message dead for the others.
func vanish(c *sql.Change) {
	c.Status = relay.DeliveryCancelled
	c.Error += "; the host name does not resolve to this instance any more"
}

// most is the number of attempts after which a delivery is dead.
func (p Policy) most(s *relay.Subscriber) int {
	if s.MaxAttempts > 0 {
		return s.MaxAttempts
	}
	return p.MaxAttempts
}

// acknowledged turns a consumer's word about the delivery's present attempt into what is
// written.
func (p Policy) acknowledged(d *relay.Delivery, s state, a sql.AckRow) sql.Change {
	c := unchanged(d, s)
	c.Ackable, c.AckAttempt = true, a.Attempt
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
	if a.Ack.Retry {
		p.fail(&c, d, s, relay.Outcome{Error: c.Error}, relay.DeliveryHandleFailed)
	} else {
		c.Status = relay.DeliveryDead
	}
	c.Attempt = &sql.Attempt{Number: a.Attempt, Started: a.Received, Outcome: relay.DeliveryHandleFailed}
	return c
}

// silent is the error of a delivery whose consumer took the last attempt and said no more.
func silent(s *relay.Subscriber, attempts int) string {
	return fmt.Sprintf("no acknowledgement within %s (ack_timeout) of attempt %d, which was the last (max_attempts)", s.AckTimeout, attempts)
}

// gaveUp is the error of a delivery that ends because nobody can wait any longer.
func (p Policy) gaveUp(last string) string {
	text := fmt.Sprintf("given up: due for more than %s (RELAY_GIVE_UP_AFTER)", p.GiveUpAfter)
	if last != "" {
		text += "; last: " + last
	}
	return text
}

// waitingStatus is the status of a delivery that was not attempted: what failed before
// still shows how, what was accepted waits for another attempt.
func waitingStatus(s state) relay.DeliveryStatus {
	if s.status == "" || s.status == relay.DeliveryAwaitingAck {
		return relay.DeliveryWaiting
	}
	return s.status
}

// attemptOutcome is the word that relay.attempt keeps.
func attemptOutcome(o relay.Outcome) relay.DeliveryStatus {
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
