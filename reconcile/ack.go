package reconcile

import (
	"context"
	"errors"
	"slices"
	"time"

	"relay"
	"relay/quarantine"
	"relay/reconcile/machine"
	"relay/retry"
	"relay/sql"
	"relay/wait"
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

// ackTaker takes what consumers say.
type ackTaker struct {
	*shared
	wanted *queue[machine.ReadAck]
	acked  chan struct{} // a consumer has acknowledged something here
}

// Acknowledge takes a consumer's word: a token and the JSON of relay.ParseAck. Any relay of
// the database may take any. The word is durable when this returns without an error; the
// owner of the message's shard applies it. An error says that the database could not be
// asked, so that the consumer should try again.
func (e *Engine) Acknowledge(ctx context.Context, token string, body []byte) (relay.AckResult, error) {
	result, err := e.acks.acknowledge(ctx, token, body)
	if errors.Is(err, sql.ErrHeld) {
		e.config.Metrics.acks.WithLabelValues(ackHeld).Inc()
	}
	if err != nil {
		return "", err
	}
	e.config.Metrics.acks.WithLabelValues(string(result)).Inc()
	if result == relay.AckHandled || result == relay.AckFailed {
		wait.Signal(e.acks.acked)
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
	of := quarantine.Message(quarantine.TakeAck, subject.Message)
	most := ackLockedMost
	if e.quarantine.Waits(of) {
		most = 0 // it was locked a moment ago
	}
	result, err := e.recordAck(ctx, subject, ack, most)
	switch {
	case errors.Is(err, sql.ErrHeld):
		e.quarantine.Hold(of, err.Error())
	case err == nil:
		e.quarantine.Free(of)
	}
	return result, err
}

// recordAck stores a word. A relay that writes the message's state has locked it for a moment, which is waited for
// without a connection, up to most; a session that holds it for longer is not.
func (e *ackTaker) recordAck(ctx context.Context, subject relay.AckSubject, ack relay.Ack, most time.Duration) (relay.AckResult, error) {
	ctx, cancel := context.WithTimeout(ctx, ackTimeLimit)
	defer cancel()
	for pause := ackLocked; ; pause *= 2 {
		result, err := e.config.Store.RecordAck(ctx, subject, ack)
		if !errors.Is(err, sql.ErrHeld) || pause > most || !wait.For(ctx, pause) {
			return result, err
		}
	}
}

// watchAcks finds acknowledgements until ctx ends.
func (e *ackTaker) watchAcks(ctx context.Context) error {
	for {
		every := ackRarely
		if e.config.Subscriptions.WantsAcks() {
			every = ackEvery
		}
		if !wait.Until(ctx, every, e.acked) || !wait.For(ctx, ackGather) || !e.loop.waitWorking(ctx) {
			return nil
		}
		err := e.findAcks(ctx)
		if ctx.Err() != nil {
			return nil
		}
		e.trouble.Note("apply acknowledgements", err)
	}
}

// findAcks makes one pass over what consumers have said: it tells the machine what may be applied, and removes what is
// moot. A delivery that is under way is left to the next pass: its outcome comes first.
func (e *ackTaker) findAcks(ctx context.Context) error {
	found, err := e.config.Store.FindAcks(ctx, e.leases.Now().Shards, acksBatch)
	if err != nil || len(found) == 0 {
		return err
	}
	if len(found) == acksBatch {
		wait.Signal(e.acked)
	}
	var moot []sql.AckRow
	var told machine.Acknowledged
	for _, a := range found {
		if a.Moot {
			moot = append(moot, a)
		} else {
			told.Deliveries = append(told.Deliveries, machine.DueDelivery{ID: a.Delivery, Key: a.Key, Shard: a.Shard})
		}
	}
	e.loop.tell(told)
	if len(moot) == 0 {
		return nil
	}
	return e.dropMoot(ctx, moot)
}

// dropMoot removes acknowledgements that have nothing left to be applied to.
func (e *ackTaker) dropMoot(ctx context.Context, moot []sql.AckRow) error {
	moot = slices.DeleteFunc(moot, func(a sql.AckRow) bool { return e.quarantine.Waits(quarantine.Message(quarantine.DropAck, a.Message)) })
	return quarantine.InHalves(ctx, moot, func(some []sql.AckRow) error { return e.config.Store.DropAcks(ctx, some) },
		func(a sql.AckRow, why error) {
			e.quarantine.Isolate(quarantine.Message(quarantine.DropAck, a.Message), why)
		})
}

// readAcks reads what consumers have said when the machine asks for it, until ctx ends. It is read once more since what
// was under way when it was found may have been written meanwhile.
func (e *ackTaker) readAcks(ctx context.Context) {
	for wait.Ready(ctx, e.wanted.ready, gather) {
		batch := e.wanted.take(acksBatch)
		asked := make([]sql.AckRow, len(batch))
		for i, c := range batch {
			asked[i].Message, asked[i].Subscriber = c.Entry.Message, relay.AckSubscriberOf(c.Entry.Subscription, c.Entry.Instance)
		}
		rows, err := e.config.Store.ReadAcks(ctx, asked)
		if ctx.Err() != nil {
			return
		}
		e.trouble.Note("apply acknowledgements", err)
		words := make(map[relay.DeliveryID]machine.AckRead, len(rows))
		for i := range rows {
			words[rows[i].Delivery] = e.ackRead(&rows[i])
		}
		events := make([]machine.Event, len(batch))
		for i, c := range batch {
			answer, found := words[c.Entry]
			answer.Entry, answer.None = c.Entry, !found
			events[i] = answer
		}
		e.loop.tell(events...)
	}
}

// ackRead is what a consumer said, as the machine knows it.
func (e *ackTaker) ackRead(a *sql.AckRow) machine.AckRead {
	m := &relay.Message{ID: a.Message, Shard: a.Shard, Key: a.Key}
	d, err := e.config.Router.Resume(m, a.Delivery.Subscription, a.Delivery.Instance, a.Target, a.Attempts-1)
	if err != nil { // it cannot be sent any more, but the word on what was sent counts
		d = &relay.Delivery{Message: m, Subscriber: &relay.Subscriber{Name: a.Delivery.Subscription}, Instance: a.Delivery.Instance, Attempt: a.Attempts}
	}
	if a.Ack.Handled {
		e.config.Metrics.pulse.Handled(a.Received.Sub(a.DueAt))
	}
	return machine.AckRead{
		Delivery: d, Waited: time.Since(a.DueAt),
		Open: retry.Open{Status: a.Status, Attempts: a.Attempts, HandleAttempts: a.HandleAttempts},
		Word: retry.Word{Ack: a.Ack, Attempt: a.Attempt, Received: a.Received, Counted: a.Counted},
	}
}
