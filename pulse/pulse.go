// Package pulse counts what a relay takes up and what becomes of it: minute by minute in the tables relay.pulse_sent,
// relay.pulse_outcome and relay.pulse_standing, for the people who look at rates and latencies, and in the metrics.
package pulse

import (
	"context"
	"sync"
	"time"

	"relay"
	"relay/sql"
	"relay/trouble"
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

// Config is what a pulse needs. All of it is required.
type Config struct {
	Store *sql.Store
	// Sampler counts what has not ended, for all in this process who ask.
	Sampler *sql.Sampler
	// ID names the relay that counts.
	ID relay.ID
	// Counts reports whether this relay counts what has not ended: one of those that share a database does.
	Counts  func() bool
	Trouble *trouble.Log
	Metrics *Metrics
}

// Pulse counts what this relay sends. Its methods may be called at the same time.
type Pulse struct {
	config Config

	mu       sync.Mutex
	sent     map[pair]*sql.PulseSent
	outcomes map[reach]*sql.PulseOutcome
	counted  time.Time // the minute for which outstanding was kept last; Run alone uses it
}

// New returns a pulse that has counted nothing. Run writes what it counts.
func New(config Config) *Pulse {
	return &Pulse{config: config, sent: make(map[pair]*sql.PulseSent), outcomes: make(map[reach]*sql.PulseOutcome)}
}

// Took counts a message that was taken up, or rejected.
func (p *Pulse) Took(m *relay.Message, rejected bool, now time.Time) {
	one := sql.PulseSent{Minute: now.Truncate(time.Minute), Source: m.Source, Topic: m.Topic, Taken: 1, Bytes: int64(len(m.Body)), LastAt: m.CreatedAt}
	if rejected {
		one.Taken, one.Rejected = 0, 1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addSent(one)
}

// addSent adds counts. The caller holds the mutex.
func (p *Pulse) addSent(one sql.PulseSent) {
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

// Wrote counts outcomes of one message that stand in the table.
func (p *Pulse) Wrote(changes []sql.Change, now time.Time) {
	for i := range changes {
		p.config.Metrics.wrote(&changes[i], i == 0)
	}
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
func (p *Pulse) outcomeOf(of reach) *sql.PulseOutcome {
	sum := p.outcomes[of]
	if sum == nil {
		sum = &sql.PulseOutcome{Minute: of.minute, Subscription: of.subscription}
		p.outcomes[of] = sum
	}
	return sum
}

// addOutcome adds counts. The caller holds the mutex.
func (p *Pulse) addOutcome(one sql.PulseOutcome) {
	sum := p.outcomeOf(reach{one.Minute, one.Subscription})
	sum.Accepted, sum.Handled, sum.Dead = sum.Accepted+one.Accepted, sum.Handled+one.Handled, sum.Dead+one.Dead
	sum.PushFailed, sum.HandleFailed = sum.PushFailed+one.PushFailed, sum.HandleFailed+one.HandleFailed
	sum.Wait.Merge(one.Wait)
	sum.Total.Merge(one.Total)
	sum.Causes.Merge(one.Causes)
}

// take returns what was counted and begins anew.
func (p *Pulse) take() (sent []sql.PulseSent, outcomes []sql.PulseOutcome) {
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
func (p *Pulse) giveBack(sent []sql.PulseSent, outcomes []sql.PulseOutcome, now time.Time) {
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

// Run writes what was counted, until ctx ends. It returns no error. What is counted after its end, Flush writes.
func (p *Pulse) Run(ctx context.Context) error {
	for wait.For(ctx, pulseEvery) {
		p.config.Trouble.NoteDuring(ctx, "write the pulse", p.Flush(ctx))
		p.config.Trouble.NoteDuring(ctx, "count what is outstanding", p.countOutstanding(ctx))
	}
	return nil
}

// countOutstanding keeps, once in each minute, how much has not ended. One relay alone counts, and shares
// its count with those who read /metrics.
func (p *Pulse) countOutstanding(ctx context.Context) error {
	minute := time.Now().Truncate(time.Minute)
	if minute.Equal(p.counted) || !p.config.Counts() {
		return nil
	}
	standing, err := p.config.Sampler.Standing(ctx)
	if err == nil {
		err = p.config.Store.WritePulseStanding(ctx, minute, standing)
	}
	if err == nil {
		p.counted = minute
	}
	return err
}

// Flush writes what was counted since it was written last. After an error the counts are kept for ten minutes, and
// written the next time.
func (p *Pulse) Flush(ctx context.Context) error {
	sent, outcomes := p.take()
	if len(sent) == 0 && len(outcomes) == 0 {
		return nil
	}
	err := p.config.Store.WritePulse(ctx, p.config.ID, sent, outcomes)
	if err != nil {
		p.giveBack(sent, outcomes, time.Now())
	}
	return err
}
