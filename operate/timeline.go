package operate

import (
	"slices"
	"time"

	"relay"
)

// Lane is the history of one delivery.
type Lane struct {
	Subscription string               `json:"subscription"`
	Instance     string               `json:"instance,omitempty" doc:"Without what may be secret."`
	Status       relay.DeliveryStatus `json:"status" enum:"waiting,push_failed,handle_failed,awaiting_ack,delivered,handled,dead,cancelled"`
	Steps        []Step               `json:"steps" doc:"In the order of time."`
}

// Step is one part of a lane.
type Step struct {
	Kind    string     `json:"kind" enum:"delayed,queued,waiting,attempt,interval,awaiting_ack,acknowledged,ended" doc:"delayed: until deliver_at; queued: until the first attempt; waiting: held back, the reason says why; attempt: one attempt; interval: between attempts; awaiting_ack: until the consumer's word; acknowledged and ended: a point in time."`
	From    time.Time  `json:"from"`
	To      *time.Time `json:"to,omitempty" doc:"Absent: it lasts, or it is a point in time."`
	Attempt int        `json:"attempt,omitempty" doc:"Number of the attempt."`
	Outcome string     `json:"outcome,omitempty" doc:"Of an attempt, or of the end."`
	Reason  string     `json:"reason,omitempty" doc:"Why it waits: key_blocked, paused, circuit_open, full, no_resources."`
	Cause   string     `json:"cause,omitempty"`
	Code    int        `json:"response_code,omitempty"`
	Error   string     `json:"error,omitempty"`
}

// Timeline is what became of the message from the commit to the end, a lane for each delivery.
func (d MessageDetail) Timeline() []Lane {
	lanes := []Lane{}
	for _, one := range d.Deliveries {
		var own []Attempt
		for _, a := range d.Attempts {
			if a.Subscription == one.Subscription && a.Instance == one.Instance {
				own = append(own, a)
			}
		}
		slices.SortStableFunc(own, func(a, b Attempt) int { return a.StartedAt.Compare(b.StartedAt) })
		l := &lane{at: d.CreatedAt}
		l.begin(d.Message, own)
		for _, a := range own {
			l.attempt(a)
		}
		l.rest(one)
		lanes = append(lanes, Lane{Subscription: one.Subscription, Instance: one.Instance, Status: one.Status, Steps: l.steps})
	}
	return lanes
}

// lane is one that is being drawn, up to at.
type lane struct {
	steps []Step
	at    time.Time
}

// until adds a step to a time, unless it would have no length.
func (l *lane) until(to time.Time, s Step) {
	if !to.After(l.at) {
		return
	}
	s.From, s.To = l.at, &to
	l.steps, l.at = append(l.steps, s), to
}

// begin draws what was before the first attempt.
func (l *lane) begin(m Message, attempts []Attempt) {
	if m.DeliverAt != nil && (len(attempts) == 0 || !m.DeliverAt.After(attempts[0].StartedAt)) {
		l.until(*m.DeliverAt, Step{Kind: "delayed"})
	}
	if len(attempts) > 0 {
		l.until(attempts[0].StartedAt, Step{Kind: "queued"})
	}
}

func (l *lane) attempt(a Attempt) {
	l.until(a.StartedAt, Step{Kind: "interval"})
	end := a.StartedAt.Add(time.Duration(a.DurationMS * float64(time.Millisecond)))
	l.steps = append(l.steps, Step{
		Kind: "attempt", From: a.StartedAt, To: &end, Attempt: a.Attempt, Outcome: string(a.Outcome), Cause: string(a.Cause), Code: a.ResponseCode, Error: a.Error,
	})
	l.at = end
}

// rest draws what came after the last attempt, and what lasts.
func (l *lane) rest(d Delivery) {
	lasting := func(kind string) { l.steps = append(l.steps, Step{Kind: kind, From: l.at, Reason: string(d.Reason)}) }
	switch d.Status {
	case relay.DeliveryWaiting:
		lasting("waiting")
	case relay.DeliveryPushFailed, relay.DeliveryHandleFailed:
		lasting("interval")
	case relay.DeliveryAwaitingAck:
		lasting("awaiting_ack")
	case relay.DeliveryHandled:
		if d.HandledAt != nil && d.DeliveredAt != nil && d.HandledAt.After(*d.DeliveredAt) {
			l.until(*d.HandledAt, Step{Kind: "awaiting_ack"})
			l.steps = append(l.steps, Step{Kind: "acknowledged", From: *d.HandledAt})
		}
		l.end(d, d.HandledAt)
	case relay.DeliveryDelivered:
		l.end(d, d.DeliveredAt)
	default:
		l.end(d, d.UpdatedAt)
	}
}

func (l *lane) end(d Delivery, at *time.Time) {
	if at == nil || at.Before(l.at) {
		at = &l.at
	}
	l.steps = append(l.steps, Step{Kind: "ended", From: *at, Outcome: string(d.Status), Cause: string(d.Cause), Code: d.ResponseCode, Error: d.LastError})
}
