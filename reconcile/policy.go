package reconcile

import (
	"math/rand/v2"
	"time"

	"relay"
	"relay/reconcile/machine"
	"relay/sql"
)

// Policy says when a failed delivery goes again and when it is given up.
type Policy = machine.Policy

// state is what a delivery had behind it before an attempt.
type state struct {
	machine.Open
	taking bool // the message was pending
	again  bool // it had ended before
	due    time.Time
}

func (s *state) past() machine.Past { return machine.Past{Open: s.Open, Waited: time.Since(s.due)} }

// change turns an outcome into what is written, as the policy decides.
func (e *starter) change(d *relay.Delivery, s state, o relay.Outcome) sql.Change {
	return s.stored(d.Message, e.config.Policy.Change(d, s.past(), o, rand.Float64))
}

// stored turns what the policy has decided into what is written of a delivery of the message.
func (s *state) stored(m *relay.Message, c machine.Change) sql.Change {
	out := sql.Change{
		Delivery: sql.DeliveryID(c.ID), Shard: m.Shard, Target: c.Target, Circuit: c.Destination, Taking: s.taking, Again: s.again,
		Status: c.Status, Reason: c.Reason, Attempts: c.Attempts, HandleAttempts: c.HandleAttempts, NextAttempt: c.Next,
		ResponseCode: c.ResponseCode, Error: c.Error, Cause: c.Cause, Due: s.due, Ackable: c.Acknowledges, AckAttempt: c.AckAttempt,
	}
	if c.Attempt != nil {
		attempt := sql.Attempt(*c.Attempt)
		out.Attempt = &attempt
	}
	return out
}
