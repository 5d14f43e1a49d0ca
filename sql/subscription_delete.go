package sql

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relay"
)

// ErrOutstanding says that a subscription has deliveries that have not ended.
var ErrOutstanding = errors.New("it has deliveries outstanding")

// DeleteSubscription removes a subscription. It returns ErrNoSubscription if there is none,
// and ErrOutstanding if the database refuses for the sake of deliveries that have not ended.
func (s *Store) DeleteSubscription(ctx context.Context, name string) error {
	return s.DeleteSubscriptionAt(ctx, name, "")
}

// DeleteSubscriptionAt is DeleteSubscription if the subscription still has a version; otherwise it is ErrVersion. An
// empty version is any.
func (s *Store) DeleteSubscriptionAt(ctx context.Context, name, version string) error {
	return s.inTx(ctx, "delete subscription", func(tx pgx.Tx) error {
		if err := holdVersion(ctx, tx, name, version); err != nil {
			return err
		}
		gone, err := tx.Exec(ctx, "delete from relay.subscription where name = $1", name)
		var pg *pgconn.PgError
		switch {
		case errors.As(err, &pg) && pg.Code == "23503":
			return ErrOutstanding
		case err != nil:
			return denial(err)
		case gone.RowsAffected() == 0:
			return ErrNoSubscription
		}
		return s.audit(ctx, tx, AuditEntry{Action: "subscription.delete", Kind: AuditSubscription, Object: name})
	})
}

const countOutstanding = `
select count(*) from (
	select from relay.delivery
	where subscription = $1 and status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')
		and subscription not in ('direct', 'default')
	limit $2
) x`

// CountOutstanding counts the deliveries of a subscription that have not ended, up to
// CountLimit.
func (s *Store) CountOutstanding(ctx context.Context, name string) (n int, err error) {
	if err = s.pool.QueryRow(ctx, countOutstanding, name, CountLimit).Scan(&n); err != nil {
		err = fmt.Errorf("count outstanding deliveries: %w", denial(err))
	}
	return n, err
}

// The youngest first: of each key the head comes last, so that nothing behind it is woken in
// between.
const findOutstanding = `
select message_id, subscription, instance from relay.delivery
where subscription = $1 and status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')
	and subscription not in ('direct', 'default')
order by seq desc limit $2`

const cancelDeliveries = `
with delivery as (
	update relay.delivery d set
		status = 'cancelled', reason = null, next_attempt_at = null, updated_at = clock_timestamp(), last_error = $4
	from unnest($1::uuid[], $2::text[], $3::text[]) as w(id, subscription, instance)
	where d.message_id = w.id and d.subscription = w.subscription and d.instance = w.instance
		and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')
	returning d.message_id, d.status, null::text as last_error
),` + countDown + `
select count(*) from delivery`

// CancelOutstanding cancels up to limit deliveries of a subscription that have not ended,
// with the reason as their last error; their messages end if nothing else of them is
// outstanding. What is under way at that moment is not called back. It returns how many
// were cancelled, and how many were found: those between are held by another session.
func (s *Store) CancelOutstanding(ctx context.Context, name, reason string, limit int) (cancelled, found int, err error) {
	rows, err := s.pool.Query(ctx, findOutstanding, name, limit)
	if err != nil {
		return 0, 0, fmt.Errorf("find outstanding deliveries: %w", denial(err))
	}
	ids, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d relay.DeliveryID, err error) {
		err = row.Scan((*[16]byte)(&d.Message), &d.Subscription, &d.Instance)
		return d, err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("find outstanding deliveries: %w", denial(err))
	}
	// What belongs to no message any more can be had by no lock on one.
	if err := s.EndOrphans(ctx, ids); err != nil {
		return 0, 0, err
	}
	err = s.inTx(ctx, "cancel deliveries", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockByHand); err != nil {
			return err
		}
		held, err := lockAll(ctx, tx, messagesOf(ids))
		if err != nil {
			return err
		}
		chosen := held.only(ids)
		messages, subscriptions, instances := splitDeliveryIDs(chosen)
		if err := tx.QueryRow(ctx, cancelDeliveries, messages, subscriptions, instances, reason).Scan(&cancelled); err != nil {
			return err
		}
		if err := wake(ctx, tx, messagesOf(chosen)); err != nil {
			return err
		}
		entry := AuditEntry{Action: "subscription.cancel", Kind: AuditSubscription, Object: name, Result: fmt.Sprintf("%d cancelled", cancelled)}
		if err := s.audit(ctx, tx, entry); err != nil {
			return err
		}
		return ring(ctx, tx, messagesOf(chosen)[:min(len(chosen), 1)])
	})
	return cancelled, len(ids), err
}

// messagesOf lists the messages of deliveries, each once.
func messagesOf(ids []relay.DeliveryID) (messages []relay.ID) {
	seen := make(map[relay.ID]bool, len(ids))
	for _, id := range ids {
		if !seen[id.Message] {
			seen[id.Message] = true
			messages = append(messages, id.Message)
		}
	}
	return messages
}

// only returns the deliveries whose messages are held.
func (h heldMessages) only(ids []relay.DeliveryID) (held []relay.DeliveryID) {
	for _, id := range ids {
		if _, locked := h.status[id.Message]; locked {
			held = append(held, id)
		}
	}
	return held
}
