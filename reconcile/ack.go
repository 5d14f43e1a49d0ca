package reconcile

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"relay"
	"relay/reconcile/machine"
	"relay/sql"
)

const (
	// ackEvery is how often acknowledgements are looked for that came to another relay, or
	// overtook the outcome of their attempt; one that came here is looked at at once.
	ackEvery = 250 * time.Millisecond
	// ackRarely is how often that is done if no subscription wants them.
	ackRarely = 5 * time.Second
	// ackGather is how long one waits for company.
	ackGather = 2 * time.Millisecond
	// acksBatch is the most that one statement finds.
	acksBatch = 500
	// ackLocked is how long after the first try a word is stored again whose message was locked. The time doubles,
	// and ackLockedMost is the last.
	ackLocked     = 5 * time.Millisecond
	ackLockedMost = 20 * time.Millisecond
	// ackTimeLimit bounds the time that a consumer waits for an answer.
	ackTimeLimit = 5 * time.Second
)

// Acknowledge takes a consumer's word: a token and the JSON of relay.ParseAck. Any relay of
// the database may take any. The word is durable when this returns without an error; the
// owner of the message's shard applies it. An error says that the database could not be
// asked, so that the consumer should try again.
func (e *Engine) Acknowledge(ctx context.Context, token string, body []byte) (relay.AckResult, error) {
	result, err := e.acks.acknowledge(ctx, token, body)
	if errors.Is(err, sql.ErrHeld) {
		e.config.Metrics.acks.WithLabelValues("locked").Inc()
	}
	if err != nil {
		return "", err
	}
	e.config.Metrics.acks.WithLabelValues(string(result)).Inc()
	if result == relay.AckHandled || result == relay.AckFailed {
		poke(e.acked)
	}
	return result, nil
}

func (e *ackTaker) acknowledge(ctx context.Context, token string, body []byte) (relay.AckResult, error) {
	subject, err := e.config.AckKey.Open(token)
	if err == relay.ErrAckForged {
		return relay.AckForged, nil
	}
	if err != nil {
		return relay.AckMalformed, nil
	}
	ack, err := relay.ParseAck(body)
	if err != nil {
		return relay.AckBadBody, nil
	}
	of := ofMessage(takeAck, subject.Message)
	most := ackLockedMost
	if e.quarantine.waits(of) {
		most = 0 // it was locked a moment ago
	}
	result, err := e.recordAck(ctx, subject, ack, most)
	switch {
	case errors.Is(err, sql.ErrHeld):
		e.quarantine.failed(of, err.Error())
	case err == nil && e.quarantine.size(takeAck) > 0:
		e.quarantine.ended(of)
	}
	return result, err
}

// recordAck stores a word. A relay that writes the message's state has locked it for a moment, which is waited for
// without a connection, up to most; a session that holds it for longer is not.
func (e *ackTaker) recordAck(ctx context.Context, subject relay.AckSubject, ack relay.Ack, most time.Duration) (relay.AckResult, error) {
	ctx, cancel := context.WithTimeout(ctx, ackTimeLimit)
	defer cancel()
	for wait := ackLocked; ; wait *= 2 {
		result, err := e.config.Store.RecordAck(ctx, subject, ack)
		if !errors.Is(err, sql.ErrHeld) || wait > most || !pause(ctx, wait, nil) {
			return result, err
		}
	}
}

// watchAcks applies acknowledgements until ctx ends.
func (e *ackTaker) watchAcks(ctx context.Context) error {
	for {
		every := ackRarely
		if e.config.Subscriptions.WantsAcks() {
			every = ackEvery
		}
		if !pause(ctx, every, e.acked) || !pause(ctx, ackGather, nil) || e.writer.health.waitHealthy(ctx) != nil {
			return nil
		}
		err := e.ApplyAcks(ctx)
		if ctx.Err() != nil {
			return nil
		}
		e.trouble.note("apply acknowledgements", err)
	}
}

// ApplyAcks makes one pass over what consumers have said: it hands to the writer what can be
// applied, and removes what is moot. A delivery that is under way is left to the next pass:
// its outcome comes first.
func (e *ackTaker) ApplyAcks(ctx context.Context) error {
	found, err := e.config.Store.FindAcks(ctx, e.lease.Load().shards, acksBatch)
	if err != nil || len(found) == 0 {
		return err
	}
	if len(found) == acksBatch {
		poke(e.acked)
	}
	var moot, claimed []sql.AckRow
	entries := make(map[sql.DeliveryID]*entry)
	for _, a := range found {
		if a.Moot {
			moot = append(moot, a)
			continue
		}
		if en := e.registry.claim(entry{id: a.Delivery, key: a.Key}, acksBatch); en != nil {
			entries[a.Delivery] = en
			claimed = append(claimed, a)
		}
	}
	if len(moot) > 0 {
		if err := e.dropMoot(ctx, moot); err != nil {
			e.releaseAcks(entries)
			return err
		}
	}
	if len(claimed) == 0 {
		return nil
	}
	// They are read once more: what was under way before may have been written meanwhile.
	rows, err := e.config.Store.ReadAcks(ctx, claimed)
	if err == nil {
		for _, a := range rows {
			if en := entries[a.Delivery]; en != nil && e.apply(en, a) {
				delete(entries, a.Delivery)
			}
		}
	}
	e.releaseAcks(entries)
	return err
}

// dropMoot removes acknowledgements that have nothing left to be applied to.
func (e *ackTaker) dropMoot(ctx context.Context, moot []sql.AckRow) error {
	moot = slices.DeleteFunc(moot, func(a sql.AckRow) bool { return e.quarantine.waits(ofMessage(dropAck, a.Message)) })
	return inHalves(ctx, moot, func(some []sql.AckRow) error { return e.config.Store.DropAcks(ctx, some) },
		func(a sql.AckRow, why error) { e.isolator.isolate(ofMessage(dropAck, a.Message), why) })
}

// apply hands a consumer's word to the writer, and reports whether it could.
func (e *ackTaker) apply(en *entry, a sql.AckRow) bool {
	if !e.leases.enterShard(en, a.Shard) {
		return false
	}
	m := &relay.Message{ID: a.Message, Shard: a.Shard, Key: a.Key}
	d, err := e.config.Router.Resume(m, a.Delivery.Subscription, a.Delivery.Instance, a.Target, a.Attempts-1)
	if err != nil { // it cannot be sent any more, but the word on what was sent counts
		d = &relay.Delivery{Message: m, Subscriber: &relay.Subscriber{Name: a.Delivery.Subscription}, Instance: a.Delivery.Instance, Attempt: a.Attempts}
	}
	s := state{Open: machine.Open{Status: a.Status, Attempts: a.Attempts, HandleAttempts: a.HandleAttempts}, due: a.DueAt}
	word := machine.Word{Ack: a.Ack, Attempt: a.Attempt, Received: a.Received, Counted: a.Counted}
	if a.Ack.Handled {
		e.config.Metrics.handled.Observe(a.Received.Sub(a.DueAt).Seconds())
	}
	line := sql.Line{Subscription: a.Delivery.Subscription, Instance: a.Delivery.Instance, Key: a.Key}
	change := e.config.Policy.Acknowledged(d, s.past(), word, rand.Float64)
	e.writer.waiting.put(en, []sql.Change{s.stored(m, change)}, func() { e.waker.add(line) })
	return true
}

// releaseAcks unregisters deliveries whose acknowledgements are looked at again later.
func (e *ackTaker) releaseAcks(entries map[sql.DeliveryID]*entry) {
	for _, en := range entries {
		e.registry.remove(en)
	}
}
