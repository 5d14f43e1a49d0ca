package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Subscriptions reads all subscriptions and the version that they are, in one snapshot. One
// whose target or headers cannot be used is marked as invalid.
func (s *Store) Subscriptions(ctx context.Context) (all []*relay.Subscriber, version int64, err error) {
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, subscriptionVersion).Scan(&version); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, readSubscriptions)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scanSubscription)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read subscriptions: %w", err)
	}
	return all, version, nil
}

const readSubscriptions = `
select name, topics, target, paused, ordered, broadcast,
	coalesce((extract(epoch from timeout) * 1000000)::bigint, 0), coalesce(concurrency, 0), coalesce(rate_limit, 0),
	coalesce(max_attempts, 0), coalesce(max_handle_attempts, 0),
	array(select (extract(epoch from b) * 1000000)::bigint from unnest(backoff) with ordinality as x(b, n) order by n),
	on_dead, coalesce(secrets, '{}'), headers, ack = 'consumer', (extract(epoch from ack_timeout) * 1000000)::bigint
from relay.subscription order by name`

func scanSubscription(row pgx.CollectableRow) (*relay.Subscriber, error) {
	s := &relay.Subscriber{Trusted: true}
	var target, onDead string
	var ordered bool
	var timeout, ackTimeout int64
	var backoff []int64
	var headers []byte
	err := row.Scan(&s.Name, &s.Topics, &target, &s.Paused, &ordered, &s.Broadcast, &timeout, &s.Concurrency, &s.RateLimit,
		&s.MaxAttempts, &s.MaxHandleAttempts, &backoff, &onDead, &s.Secrets, &headers, &s.AckByConsumer, &ackTimeout)
	if err != nil {
		return nil, err
	}
	s.Unordered, s.BlockOnDead = !ordered, onDead == "block"
	s.Timeout, s.AckTimeout = time.Duration(timeout)*time.Microsecond, time.Duration(ackTimeout)*time.Microsecond
	for _, us := range backoff {
		s.Backoff = append(s.Backoff, time.Duration(us)*time.Microsecond)
	}
	if s.Target, err = relay.ParseSubscriptionTarget(target); err != nil {
		s.Invalid = err.Error()
	}
	if s.Headers, err = relay.ParseHeaders(headers); err != nil {
		s.Invalid = err.Error()
	}
	return s, nil
}

const subscriptionVersion = "select version from relay.subscription_version"

// SubscriptionVersion returns the version that the subscriptions are at.
func (s *Store) SubscriptionVersion(ctx context.Context) (version int64, err error) {
	if err = s.pool.QueryRow(ctx, subscriptionVersion).Scan(&version); err != nil {
		err = fmt.Errorf("read the version of the subscriptions: %w", err)
	}
	return version, err
}
