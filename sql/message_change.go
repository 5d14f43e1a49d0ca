package sql

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Effect is what a person's change did to one message.
type Effect string

// The effects. The first three are successes.
const (
	EffectRetried          Effect = "retried"           // it is sent again
	EffectCancelled        Effect = "cancelled"         // nothing of it is sent any more
	EffectAlreadyCancelled Effect = "already cancelled" // it was before
	EffectNotFound         Effect = "not found"         // there is no such message
	EffectNotEnded         Effect = "not ended"         // it is pending, or goes on by itself
	EffectEndedWell        Effect = "ended well"        // it is done
	EffectChanged          Effect = "has changed"       // it has ended otherwise than was asked for
	EffectLocked           Effect = "locked"            // another session holds its row; a second try may succeed
)

// Succeeded reports whether the message, or the head of a key, is now as the person wanted it.
func (e Effect) Succeeded() bool {
	return e == EffectRetried || e == EffectCancelled || e == EffectAlreadyCancelled || e == EffectSkipped
}

// Statements of a person's change. The messages are locked by a statement of their own,
// which reads their status with the lock and skips what somebody else holds: the next
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
	from unnest($1::uuid[]) as w(id) where o.id = w.id`

	hurryDeliveries = `
	update relay.delivery d set next_attempt_at = clock_timestamp(), updated_at = clock_timestamp()
	from unnest($1::uuid[]) as w(id)
	where d.message_id = w.id and d.next_attempt_at > clock_timestamp() and d.status in ('waiting', 'push_failed', 'handle_failed')
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

// RetryMessages sends messages again whose status is among from: one that has ended becomes
// pending and has all of its attempts and all of its time again; the deliveries of an open
// one that wait for a later time are due at once. Payloads never change. The effects are in
// the order of the ids, of which none may stand there twice.
func (s *Store) RetryMessages(ctx context.Context, ids []relay.ID, from []relay.MessageStatus) ([]Effect, error) {
	return s.change(ctx, "retry messages", ids, func(tx pgx.Tx, held heldMessages) error {
		var again, open []relay.ID
		for id, status := range held.status {
			switch {
			case !slices.Contains(from, status):
			case status == relay.MessageOpen:
				open = append(open, id)
			case status != relay.MessagePending:
				again = append(again, id)
			}
		}
		if _, err := tx.Exec(ctx, retryMessages, uuids(again)); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, hurryDeliveries, uuids(open))
		hurried, err := collectIDs("set deliveries due", rows, err)
		if err != nil {
			return err
		}
		held.note(EffectRetried, again...)
		held.note(EffectRetried, hurried...)
		return nil
	})
}

// CancelMessages cancels messages whose status is among from, with those of their deliveries
// that have not ended or are dead; their keys go on. What is under way at that moment is not
// called back. One that is done stays so. The effects are in the order of the ids, of which none may stand there twice.
func (s *Store) CancelMessages(ctx context.Context, ids []relay.ID, from []relay.MessageStatus) ([]Effect, error) {
	return s.change(ctx, "cancel messages", ids, func(tx pgx.Tx, held heldMessages) error {
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
	})
}

// heldMessages are messages locked by a transaction, and what became of them in it.
type heldMessages struct {
	status map[relay.ID]relay.MessageStatus
	effect map[relay.ID]Effect
}

func (h heldMessages) note(e Effect, ids ...relay.ID) {
	for _, id := range ids {
		h.effect[id] = e
	}
}

// change locks what it can of the messages, lets act change them, and says what became of
// each.
func (s *Store) change(ctx context.Context, operation string, ids []relay.ID, act func(pgx.Tx, heldMessages) error) (effects []Effect, err error) {
	err = s.inTx(ctx, operation, func(tx pgx.Tx) error {
		held, err := lockAll(ctx, tx, ids)
		if err != nil {
			return denial(err)
		}
		if err := act(tx, held); err != nil {
			return denial(err)
		}
		rows, err := tx.Query(ctx, existingMessages, uuids(ids))
		there, err := collectIDs("look for messages", rows, err)
		effects = held.effects(ids, there)
		return err
	})
	return effects, err
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
func (h heldMessages) effects(ids, there []relay.ID) []Effect {
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

const copyMessage = `
insert into relay.outbox (topic, key, payload, body, content_type, headers, source, destination, deliver_at)
select o.topic, o.key, o.payload, o.body, o.content_type, o.headers, o.source, coalesce(nullif($2, ''), o.destination),
	case when o.deliver_at > clock_timestamp() then o.deliver_at end
from relay.outbox o where o.id = $1
returning id`

// CopyMessage inserts a message of the same content under a new id, which it returns, with a
// destination of its own unless that is empty. It returns ErrGone if there is none to copy.
func (s *Store) CopyMessage(ctx context.Context, id relay.ID, destination string) (copied relay.ID, err error) {
	err = s.pool.QueryRow(ctx, copyMessage, [16]byte(id), destination).Scan((*[16]byte)(&copied))
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrGone
	}
	if err != nil {
		return copied, fmt.Errorf("copy message %s: %w", id, denial(err))
	}
	return copied, nil
}
