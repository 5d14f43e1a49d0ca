package reconcile

import (
	"context"
	"sync"
	"time"

	"relay"
	"relay/sql"
	"relay/wait"
)

const (
	// pulseEvery is how often what was counted is written; a crash loses no more than that.
	pulseEvery = 10 * time.Second
	// pulsePairs is how many pairs of source and topic are counted apart in a minute.
	pulsePairs = 500
	// pulseOther is the source and topic of all pairs above that.
	pulseOther = "…"
	// pulseHeld is for how long counts are kept in memory that cannot be written.
	pulseHeld = 10 * time.Minute
)

// pair is what messages are counted by, reach what deliveries are.
type (
	pair struct {
		minute        time.Time
		source, topic string
	}
	reach struct {
		minute       time.Time
		subscription string
	}
)

// pulse counts what this relay sends, by minute, for the people who look at rates and latencies.
type pulse struct {
	mu       sync.Mutex
	sent     map[pair]*sql.PulseSent
	outcomes map[reach]*sql.PulseOutcome
	counted  time.Time // the minute for which outstanding was kept last; writePulse alone uses it
}

func newPulse() *pulse {
	return &pulse{sent: make(map[pair]*sql.PulseSent), outcomes: make(map[reach]*sql.PulseOutcome)}
}

// took counts a message that was taken up, or rejected.
func (p *pulse) took(m *relay.Message, rejected bool, now time.Time) {
	one := sql.PulseSent{Minute: now.Truncate(time.Minute), Source: m.Source, Topic: m.Topic, Taken: 1, Bytes: int64(len(m.Body)), LastAt: m.CreatedAt}
	if rejected {
		one.Taken, one.Rejected = 0, 1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addSent(one)
}

// addSent adds counts. The caller holds the mutex.
func (p *pulse) addSent(one sql.PulseSent) {
	key, rest := pair{one.Minute, one.Source, one.Topic}, pair{one.Minute, pulseOther, pulseOther}
	most := pulsePairs
	if p.sent[rest] != nil {
		most++ // it is none of the pairs
	}
	if p.sent[key] == nil && len(p.sent) >= most {
		key = rest
	}
	sum := p.sent[key]
	if sum == nil {
		sum = &sql.PulseSent{Minute: key.minute, Source: key.source, Topic: key.topic}
		p.sent[key] = sum
	}
	sum.Taken, sum.Rejected, sum.Bytes = sum.Taken+one.Taken, sum.Rejected+one.Rejected, sum.Bytes+one.Bytes
	if one.LastAt.After(sum.LastAt) {
		sum.LastAt = one.LastAt
	}
}

// wrote counts outcomes that stand in the table.
func (p *pulse) wrote(changes []sql.Change, now time.Time) {
	minute := now.Truncate(time.Minute)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range changes {
		if c := &changes[i]; c.Delivery.Subscription != "" && (c.Attempt != nil || endsWithout(c.Status)) {
			addChange(p.outcomeOf(reach{minute, c.Delivery.Subscription}), c, now)
		}
	}
}

// endsWithout reports whether a change without an attempt counts.
func endsWithout(status relay.DeliveryStatus) bool {
	return status == relay.DeliveryHandled || status == relay.DeliveryDelivered || status == relay.DeliveryDead
}

// addChange adds what one change means.
func addChange(sum *sql.PulseOutcome, c *sql.Change, now time.Time) {
	at := now
	if a := c.Attempt; a != nil {
		switch at = a.Started.Add(a.Duration); a.Outcome {
		case relay.DeliveryPushFailed:
			sum.PushFailed++
			sum.Causes.Add(c.Cause)
		case relay.DeliveryHandleFailed:
			sum.HandleFailed++
			sum.Causes.Add(c.Cause)
		default:
			sum.Accepted++
			if a.Number == 1 {
				sum.Wait.Add(at.Sub(c.Due))
			}
		}
	}
	switch c.Status {
	case relay.DeliveryHandled, relay.DeliveryDelivered:
		sum.Handled++
		sum.Total.Add(at.Sub(c.Due))
	case relay.DeliveryDead:
		sum.Dead++
		if c.Attempt == nil {
			sum.Causes.Add(c.Cause)
		}
	}
}

// outcomeOf returns the sum of a subscription in a minute. The caller holds the mutex.
func (p *pulse) outcomeOf(of reach) *sql.PulseOutcome {
	sum := p.outcomes[of]
	if sum == nil {
		sum = &sql.PulseOutcome{Minute: of.minute, Subscription: of.subscription}
		p.outcomes[of] = sum
	}
	return sum
}

// addOutcome adds counts. The caller holds the mutex.
func (p *pulse) addOutcome(one sql.PulseOutcome) {
	sum := p.outcomeOf(reach{one.Minute, one.Subscription})
	sum.Accepted, sum.Handled, sum.Dead = sum.Accepted+one.Accepted, sum.Handled+one.Handled, sum.Dead+one.Dead
	sum.PushFailed, sum.HandleFailed = sum.PushFailed+one.PushFailed, sum.HandleFailed+one.HandleFailed
	sum.Wait.Merge(one.Wait)
	sum.Total.Merge(one.Total)
	sum.Causes.Merge(one.Causes)
}

// take returns what was counted and begins anew.
func (p *pulse) take() (sent []sql.PulseSent, outcomes []sql.PulseOutcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.sent {
		sent = append(sent, *one)
	}
	for _, one := range p.outcomes {
		outcomes = append(outcomes, *one)
	}
	clear(p.sent)
	clear(p.outcomes)
	return sent, outcomes
}

// giveBack adds what could not be written, unless it is too old.
func (p *pulse) giveBack(sent []sql.PulseSent, outcomes []sql.PulseOutcome, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range sent {
		if now.Sub(one.Minute) < pulseHeld {
			p.addSent(one)
		}
	}
	for _, one := range outcomes {
		if now.Sub(one.Minute) < pulseHeld {
			p.addOutcome(one)
		}
	}
}

// writePulse writes what was counted, until ctx ends.
func (e *cleaner) writePulse(ctx context.Context) error {
	for wait.For(ctx, pulseEvery) {
		e.trouble.NoteDuring(ctx, "write the pulse", e.flushPulse(ctx))
		e.trouble.NoteDuring(ctx, "count what is outstanding", e.countOutstanding(ctx))
	}
	return nil
}

// countOutstanding keeps, once in each minute, how much has not ended. The owner of shard 0 alone counts, and shares
// its count with those who read /metrics.
func (e *cleaner) countOutstanding(ctx context.Context) error {
	minute := time.Now().Truncate(time.Minute)
	if minute.Equal(e.pulse.counted) || !e.lease.Load().sends(sql.JobShard) {
		return nil
	}
	standing, err := e.config.Sampler.Standing(ctx)
	if err == nil {
		err = e.config.Store.WritePulseStanding(ctx, minute, standing)
	}
	if err == nil {
		e.pulse.counted = minute
	}
	return err
}

// flushPulse writes what was counted since it was written last.
func (e *cleaner) flushPulse(ctx context.Context) error {
	sent, outcomes := e.pulse.take()
	if len(sent) == 0 && len(outcomes) == 0 {
		return nil
	}
	err := e.config.Store.WritePulse(ctx, e.id, sent, outcomes)
	if err != nil {
		e.pulse.giveBack(sent, outcomes, time.Now())
	}
	return err
}
