-- What waits for a destination of its own row is found by an index of its own: rows may name
-- any number of destinations, and those that an operator configured are not to be looked for
-- among them. Applications do not write to relay.delivery, so that no INSERT waits for this.

-- step: concurrently
create index concurrently if not exists delivery_parked_direct on relay.delivery (circuit, seq)
  where next_attempt_at is null and status in ('waiting', 'push_failed', 'handle_failed')
    and reason is distinct from 'key_blocked' and subscription = 'direct';

-- step: concurrently
create index concurrently if not exists delivery_parked_operator on relay.delivery (circuit, seq)
  where next_attempt_at is null and status in ('waiting', 'push_failed', 'handle_failed')
    and reason is distinct from 'key_blocked' and subscription <> 'direct';

-- step: concurrently
drop index concurrently if exists relay.delivery_parked;

-- step: transaction
comment on column relay.delivery.circuit is
  'what this delivery waits for, or shares health and concurrency with: a subscription, one of its instances, ''default'', or of a row''s own target the origin, the URL, the exchange, the queue, or the broker';
