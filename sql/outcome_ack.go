package sql

import (
	"context"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Consumers may have acknowledged some of the messages before their outcomes are written.
// The messages are locked by a statement of their own then, after which no session can add a
// word, and the next one sees those that were said.
const (
	//
	// One that was taken up before has deliveries in the table: if a session holds one of
	// them, the message is left for later, too.
	lockPending = `
	with ` + seenShards + `,
	locked as materialized (
		select o.id from (select distinct unnest($4::uuid[]) as id) w
		cross join lateral (
			select x.id from relay.outbox x
			where x.id = w.id and x.status = 'pending' and x.shard = any (array(select shard from own))
			for update skip locked
		) o
	),
	held as materialized (
		select l.id from locked l
		cross join lateral (
			select y.subscription, y.instance from relay.delivery y where y.message_id = l.id offset 0
		) d
		left join lateral (
			select true as ours from relay.delivery y
			where y.message_id = l.id and y.subscription = d.subscription and y.instance = d.instance
			for update skip locked
		) f on true
		where f.ours is null
	)
	select id from locked where id not in (select id from held)`

	// What the change itself applies goes, and so does that the work succeeded, which
	// outweighs whatever became of the attempt.
	takeAcks = `
	delete from relay.ack a using unnest($1::uuid[], $2::bytea[], $3::int[]) as w(id, subscriber, attempt)
	where a.message_id = w.id and a.subscriber = w.subscriber and (a.handled or a.attempt <= w.attempt)
	returning a.message_id, a.subscriber, a.handled`

	noteAcked = `
	update relay.delivery d set acked_attempt = greatest(d.acked_attempt, w.attempt)
	from unnest($1::uuid[], $2::text[], $3::text[], $4::int[]) as w(id, subscription, instance, attempt)
	where d.message_id = w.id and d.subscription = w.subscription and d.instance = w.instance`
)

func anyAckable(changes []Change) bool {
	for i := range changes {
		if changes[i].Ackable {
			return true
		}
	}
	return false
}

// writeTakenLocked is WriteTaken for messages that have several deliveries, or deliveries
// that consumers may have acknowledged: a statement of its own locks the messages.
func (s *Store) writeTakenLocked(ctx context.Context, lease Lease, changes []Change) (written []relay.ID, err error) {
	err = s.inWriting(ctx, "take up messages", lease, changes, func(tx pgx.Tx, shards []int16, epochs []int64) ([]relay.ID, error) {
		ids := make([]relay.ID, len(changes))
		for i := range changes {
			ids[i] = changes[i].Delivery.Message
		}
		rows, err := tx.Query(ctx, lockPending, [16]byte(lease.Owner), shards, epochs, uuids(ids))
		locked, err := collectIDs("lock messages", rows, err)
		if err != nil || len(locked) == 0 {
			return nil, err
		}
		changes := only(changes, locked)
		if anyAckable(changes) {
			if changes, err = applyAcks(ctx, tx, changes); err != nil {
				return nil, err
			}
		}
		rows, err = tx.Query(ctx, takeUpLocked, arguments(lease, changes)...)
		written, err = collectIDs("take up messages", rows, err)
		return written, err
	})
	return written, err
}

// applyAcks removes the acknowledgements that the changes apply, and returns the changes. Those
// whose consumers have said so meanwhile are handled. The messages are locked; the
// changes are the caller's own copies.
func applyAcks(ctx context.Context, tx pgx.Tx, changes []Change) ([]Change, error) {
	type subject struct {
		message    relay.ID
		subscriber relay.AckSubscriber
	}
	at := make(map[subject]*Change)
	var ids [][16]byte
	var subscribers [][]byte
	var attempts []int32
	for i := range changes {
		c := &changes[i]
		if !c.Ackable {
			continue
		}
		of := subject{c.Delivery.Message, relay.AckSubscriberOf(c.Delivery.Subscription, c.Delivery.Instance)}
		at[of] = c
		ids, subscribers, attempts = append(ids, of.message), append(subscribers, of.subscriber[:]), append(attempts, int32(c.AckAttempt))
	}
	if len(at) == 0 {
		return changes, nil
	}
	rows, err := tx.Query(ctx, takeAcks, ids, subscribers, attempts)
	if err != nil {
		return nil, err
	}
	var of subject
	var subscriber []byte
	var handled bool
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&of.message), &subscriber, &handled}, func() error {
		copy(of.subscriber[:], subscriber)
		if c := at[of]; c != nil && handled {
			c.Status, c.Reason, c.NextAttempt, c.Error = relay.DeliveryHandled, relay.ReasonNone, -1, ""
			c.Cause = relay.CauseNone
		}
		return nil
	})
	Conclude(changes)
	return changes, err
}

// writeAcked remembers which attempt's failure the consumer has told, so that the same word
// counts once.
func writeAcked(ctx context.Context, tx pgx.Tx, changes []Change) error {
	var ids []relay.DeliveryID
	var attempts []int32
	for i := range changes {
		if changes[i].AckAttempt > 0 {
			ids, attempts = append(ids, changes[i].Delivery), append(attempts, int32(changes[i].AckAttempt))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	messages, subscriptions, instances := splitDeliveryIDs(ids)
	_, err := tx.Exec(ctx, noteAcked, messages, subscriptions, instances, attempts)
	return err
}

// Conclude sets, in the changes of messages that are taken up, each message's new state
// from all of its deliveries. A rejected message stays so.
func Conclude(changes []Change) {
	type sum struct {
		outstanding int
		dead, good  bool
	}
	sums := make(map[relay.ID]sum)
	for i := range changes {
		c := &changes[i]
		s := sums[c.Delivery.Message]
		if !c.Status.Ended() {
			s.outstanding++
		}
		s.dead = s.dead || c.Status == relay.DeliveryDead
		s.good = s.good || c.Status != relay.DeliveryCancelled
		sums[c.Delivery.Message] = s
	}
	for i := range changes {
		c := &changes[i]
		if !c.Taking || c.MessageStatus == relay.MessageRejected {
			continue
		}
		s := sums[c.Delivery.Message]
		c.Outstanding = s.outstanding
		switch {
		case s.outstanding > 0:
			c.MessageStatus = relay.MessageOpen
		case s.dead:
			c.MessageStatus = relay.MessageDead
		case !s.good:
			c.MessageStatus = relay.MessageCancelled
		default:
			c.MessageStatus = relay.MessageDone
		}
	}
}
