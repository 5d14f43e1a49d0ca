package sql

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Effect is what a person's change did to one message.
type Effect string

// The effects. The first six are successes.
const (
	EffectRetried          Effect = "retried"           // it is sent again
	EffectReplayed         Effect = "replayed"          // it is sent to the subscription, for the first time or again
	EffectUnderWay         Effect = "under way"         // it was on its way to the subscription already
	EffectAcknowledged     Effect = "acknowledged"      // a person said that the consumer had handled it
	EffectCancelled        Effect = "cancelled"         // nothing of it is sent any more
	EffectAlreadyCancelled Effect = "already cancelled" // it was before
	EffectNotFound         Effect = "not found"         // there is no such message
	EffectNotEnded         Effect = "not ended"         // it is pending, or goes on by itself
	EffectEndedWell        Effect = "ended well"        // it is done
	EffectChanged          Effect = "has changed"       // it has ended otherwise than was asked for
	EffectNoDelivery       Effect = "no delivery"       // the subscriber has none of it that could be changed
	EffectLocked           Effect = "locked"            // another session holds its row; a second try may succeed
	EffectRefused          Effect = "refused"           // PostgreSQL refuses to change it; a job's result says why after a colon
)

// Succeeded reports whether the message, or the head of a key, is now as the person wanted it.
func (e Effect) Succeeded() bool {
	switch e {
	case EffectRetried, EffectReplayed, EffectUnderWay, EffectAcknowledged, EffectCancelled, EffectAlreadyCancelled, EffectSkipped:
		return true
	}
	return false
}

// Statements of a person's change. The messages are locked by a statement of their own,
// which reads their status with the lock and skips what another session holds: the next
// statement then sees what a relay has written before, deliveries of a message that it has
// taken up a moment ago included.
const (
	lockMessages = `
	select x.id, x.status::text from unnest($1::uuid[]) as w(id)
	cross join lateral (
		select o.id, o.status from relay.outbox o where o.id = w.id for update skip locked
	) x`

	// An end that is noted says that the message is sent again with all of its time.
	retryMessages = `
	update relay.outbox o set status = 'pending', finished_at = coalesce(o.finished_at, clock_timestamp())
	from unnest($1::uuid[]) as w(id) where o.id = w.id
	returning o.id, coalesce(o.key, ''), case when isfinite(o.deliver_at) then o.deliver_at end`

	hurryDeliveries = `
	update relay.delivery d set next_attempt_at = clock_timestamp(), updated_at = clock_timestamp()
	from unnest($1::uuid[]) as w(id)
	where d.message_id = w.id and ($2 = '' or d.subscription = $2)
		and d.next_attempt_at > clock_timestamp() and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')
	returning d.message_id`

	cancelMessages = `
	with deliveries as (
		update relay.delivery d set status = 'cancelled', reason = null, next_attempt_at = null, updated_at = clock_timestamp()
		from unnest($1::uuid[]) as w(id)
		where d.message_id = w.id and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack', 'dead')
	)
	update relay.outbox o set status = 'cancelled', outstanding = 0, finished_at = clock_timestamp()
	from unnest($1::uuid[]) as w(id) where o.id = w.id`

	existingMessages = `
	select x.id from unnest($1::uuid[]) as w(id)
	cross join lateral (select o.id from relay.outbox o where o.id = w.id limit 1) x`
)

// RetryMessages sends messages again whose status is among from, with all of their attempts
// and all of their time. One that ended well somewhere is sent only to the others, unless it
// is done; any other becomes pending and is routed anew. The deliveries of an open one that
// wait for a later time are due at once. Payloads never change. The effects are in the order
// of the ids; no id may stand there twice.
func (s *Store) RetryMessages(ctx context.Context, ids []relay.ID, from []relay.MessageStatus) ([]Effect, error) {
	return s.change(ctx, "retry messages", AuditEntry{Action: "message.retry"}, ids, retryAll(from))
}

// RetryDeliveries is RetryMessages for one subscriber alone: what is dead or cancelled there
// is sent again, with force also what ended well, and nothing to other subscribers. Messages are
// left alone that are pending.
func (s *Store) RetryDeliveries(ctx context.Context, ids []relay.ID, subscription string, force bool) ([]Effect, error) {
	return s.change(ctx, "retry deliveries", ofDelivery("retry", subscription), ids, retryFor(subscription, force))
}

// CancelMessages cancels messages whose status is among from, with those of their deliveries
// that have not ended or are dead; their keys go on. What is under way at that moment is not
// called back. One that is done stays so. The effects are in the order of the ids; no id may stand there twice.
func (s *Store) CancelMessages(ctx context.Context, ids []relay.ID, from []relay.MessageStatus) ([]Effect, error) {
	return s.change(ctx, "cancel messages", AuditEntry{Action: "message.cancel"}, ids, cancelAll(from))
}

// CancelDeliveries is CancelMessages for one subscriber alone, with all of its instances: what
// has not ended there, or is dead, is cancelled, and the messages end as the other subscribers say. Messages
// are left alone that are pending.
func (s *Store) CancelDeliveries(ctx context.Context, ids []relay.ID, subscription string) ([]Effect, error) {
	return s.change(ctx, "cancel deliveries", ofDelivery("cancel", subscription), ids, cancelFor(subscription))
}

// action changes messages that are locked, and notes what became of each.
type action func(ctx context.Context, tx pgx.Tx, held *heldMessages) error

func retryAll(from []relay.MessageStatus) action {
	return func(ctx context.Context, tx pgx.Tx, held *heldMessages) error {
		chosen := held.among(from)
		partly, err := reopen(ctx, tx, append(chosen[relay.MessageDead], chosen[relay.MessageCancelled]...), "", reopenPartly)
		if err != nil {
			return err
		}
		held.note(EffectRetried, partly...)
		var again []relay.ID
		for status, ids := range chosen {
			for _, id := range ids {
				if status != relay.MessageOpen && status != relay.MessagePending && held.effect[id] == "" {
					again = append(again, id)
				}
			}
		}
		if err := held.setBack(ctx, tx, again); err != nil {
			return err
		}
		return held.hurry(ctx, tx, chosen[relay.MessageOpen], "")
	}
}

func cancelAll(from []relay.MessageStatus) action {
	return func(ctx context.Context, tx pgx.Tx, held *heldMessages) error {
		if _, err := tx.Exec(ctx, lockByHand); err != nil {
			return err
		}
		var chosen []relay.ID
		for id, status := range held.status {
			switch {
			case status == relay.MessageCancelled:
				held.note(EffectAlreadyCancelled, id)
			case status != relay.MessageDone && slices.Contains(from, status):
				chosen = append(chosen, id)
			}
		}
		if _, err := tx.Exec(ctx, cancelMessages, uuids(chosen)); err != nil {
			return err
		}
		held.note(EffectCancelled, chosen...)
		return wake(ctx, tx, chosen)
	}
}

// heldMessages are messages locked by a transaction, and what became of them in it.
type heldMessages struct {
	status map[relay.ID]relay.MessageStatus
	effect map[relay.ID]Effect
	// pending are the messages that were set back, so that the caller rings for them.
	pending []relay.Ring
}

func (h *heldMessages) note(e Effect, ids ...relay.ID) {
	for _, id := range ids {
		h.effect[id] = e
	}
}

// among sorts the messages by their status, as far as it is one of some.
func (h *heldMessages) among(some []relay.MessageStatus) map[relay.MessageStatus][]relay.ID {
	chosen := make(map[relay.MessageStatus][]relay.ID)
	for id, status := range h.status {
		if slices.Contains(some, status) {
			chosen[status] = append(chosen[status], id)
		}
	}
	return chosen
}

// without lists the messages whose status is none of some.
func (h *heldMessages) without(some ...relay.MessageStatus) (ids []relay.ID) {
	for id, status := range h.status {
		if !slices.Contains(some, status) {
			ids = append(ids, id)
		}
	}
	return ids
}

// setBack makes messages pending.
func (h *heldMessages) setBack(ctx context.Context, tx pgx.Tx, ids []relay.ID) error {
	rows, err := tx.Query(ctx, retryMessages, uuids(ids))
	if err != nil {
		return err
	}
	var ring relay.Ring
	var at *time.Time
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&ring.ID), &ring.Key, &at}, func() error {
		ring.DeliverAt = time.Time{}
		if at != nil {
			ring.DeliverAt = *at
		}
		h.pending = append(h.pending, ring)
		h.note(EffectRetried, ring.ID)
		return nil
	})
	return err
}

// hurry makes deliveries of open messages due that wait for a later time: those of a
// subscription, or all if it is empty.
func (h *heldMessages) hurry(ctx context.Context, tx pgx.Tx, ids []relay.ID, subscription string) error {
	rows, err := tx.Query(ctx, hurryDeliveries, uuids(ids), subscription)
	hurried, err := collectIDs("set deliveries due", rows, err)
	h.note(EffectRetried, hurried...)
	return err
}

// ofDelivery is the entry of a change for one subscriber alone.
func ofDelivery(verb, subscription string) AuditEntry {
	details, _ := json.Marshal(map[string]string{"subscription": subscription}) // a map of texts has no error
	return AuditEntry{Action: "delivery." + verb, Details: details}
}

// change locks what it can of the messages, lets act change them, and says what became of
// each.
func (s *Store) change(ctx context.Context, operation string, entry AuditEntry, ids []relay.ID, act action) (effects []Effect, err error) {
	err = s.inTx(ctx, operation, func(tx pgx.Tx) error {
		var pending []relay.Ring
		if effects, pending, err = act.on(ctx, tx, ids); err != nil {
			return err
		}
		if err := s.auditMessages(ctx, tx, entry, ids, effects); err != nil {
			return err
		}
		return ring(ctx, tx, worthRinging(ids, effects, pending))
	})
	return effects, err
}

// worthRinging lists the messages that are pending again, or else one of those that were changed.
func worthRinging(ids []relay.ID, effects []Effect, pending []relay.Ring) (worth []relay.ID) {
	for _, r := range pending {
		worth = append(worth, r.ID)
	}
	if i := slices.IndexFunc(effects, Effect.Succeeded); len(worth) == 0 && i >= 0 {
		worth = ids[i : i+1]
	}
	return worth
}

// ring tells all relays, once the transaction has committed, of messages that a person has
// changed: they read those, and look at what is due. One message is enough for the latter.
func ring(ctx context.Context, tx pgx.Tx, ids []relay.ID) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `select pg_notify('relay_changed', payload) from unnest($1::text[]) payload`, noticesOf(ids))
	return err
}

// on applies an action to messages in a transaction, and returns the effects in the order of
// the ids, and which messages are pending again.
func (act action) on(ctx context.Context, tx pgx.Tx, ids []relay.ID) ([]Effect, []relay.Ring, error) {
	held, err := lockAll(ctx, tx, ids)
	if err != nil {
		return nil, nil, denial(err)
	}
	if err := act(ctx, tx, &held); err != nil {
		return nil, nil, denial(err)
	}
	rows, err := tx.Query(ctx, existingMessages, uuids(ids))
	there, err := collectIDs("look for messages", rows, err)
	return held.effects(ids, there), held.pending, err
}

func lockAll(ctx context.Context, tx pgx.Tx, ids []relay.ID) (heldMessages, error) {
	held := heldMessages{status: make(map[relay.ID]relay.MessageStatus, len(ids)), effect: make(map[relay.ID]Effect, len(ids))}
	rows, err := tx.Query(ctx, lockMessages, uuids(ids))
	if err != nil {
		return held, err
	}
	var id relay.ID
	var status relay.MessageStatus
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&id), &status}, func() error {
		held.status[id] = status
		return nil
	})
	return held, err
}

// effects says of each message what was noted, or else why nothing was.
func (h *heldMessages) effects(ids, there []relay.ID) []Effect {
	exists := make(map[relay.ID]bool, len(there))
	for _, id := range there {
		exists[id] = true
	}
	effects := make([]Effect, len(ids))
	for i, id := range ids {
		status, locked := h.status[id]
		switch {
		case h.effect[id] != "":
			effects[i] = h.effect[id]
		case !locked && exists[id]:
			effects[i] = EffectLocked
		case !locked:
			effects[i] = EffectNotFound
		case status == relay.MessagePending, status == relay.MessageOpen:
			effects[i] = EffectNotEnded
		case status == relay.MessageDone:
			effects[i] = EffectEndedWell
		default:
			effects[i] = EffectChanged
		}
	}
	return effects
}
