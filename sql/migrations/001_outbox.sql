-- The outbox, its deliveries and attempts, and the leases by which relays share the work.

create type relay.message_status as enum ('pending', 'open', 'done', 'dead', 'rejected', 'cancelled');

create type relay.delivery_status as enum (
  'waiting', 'push_failed', 'handle_failed', 'awaiting_ack', 'delivered', 'handled', 'dead', 'cancelled');

-- A version 7 UUID (RFC 9562): 48 bits of milliseconds before 74 random ones. Written as
-- one expression so that the planner can inline it into an INSERT.
create function relay.new_id() returns uuid
language sql volatile parallel safe as $$
  select encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
        placing substring(int8send((date_part('epoch', clock_timestamp()) * 1000)::bigint) from 3)
        from 1 for 6),
      52, 1), 53, 1),
    'hex')::uuid
$$;

create table relay.outbox (
  id           uuid primary key default relay.new_id(),
  seq          bigint generated always as identity (cache 1),
  topic        text not null,
  key          text,
  payload      text,
  body         bytea,
  content_type text not null default 'application/json',
  headers      jsonb not null default '{}',
  source       text,
  destination  text,
  deliver_at   timestamptz,
  created_at   timestamptz not null default now(),
  shard        smallint not null generated always as ((coalesce(hashtext(key), uuid_hash(id)) & 63)::smallint) stored,
  status       relay.message_status not null default 'pending',
  outstanding  integer not null default 0,
  finished_at  timestamptz,
  last_error   text,
  constraint outbox_topic_length check (octet_length(topic) between 1 and 255),
  constraint outbox_key_length check (octet_length(key) between 1 and 1024),
  constraint outbox_content_type_length check (octet_length(content_type) between 1 and 255),
  constraint outbox_payload_or_body check (payload is null or body is null),
  constraint outbox_payload_json check (
    case when payload is null then true
         when content_type = 'application/json'
           or lower(btrim(split_part(content_type, ';', 1))) = 'application/json' then payload::json is not null
         else true end)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

comment on table relay.outbox is
  'Messages. Applications INSERT here, in the transaction of their business rows, and nowhere else.';

-- What a sweep reads. Delayed messages stand apart, so that a million of them cost no scan.
create index outbox_pending on relay.outbox (shard, seq)
  where status = 'pending' and key is null and deliver_at is null;
create index outbox_pending_key on relay.outbox (shard, key, seq)
  where status = 'pending' and key is not null and deliver_at is null;
create index outbox_delayed on relay.outbox (shard, deliver_at)
  where status = 'pending' and deliver_at is not null;
-- Those of one key that are due. Without the shard first, which the key decides anyway, a plan
-- has no reason to take the index above instead.
create index outbox_delayed_key on relay.outbox (key, deliver_at)
  where status = 'pending' and key is not null and deliver_at is not null;
-- What a person looks for.
create index outbox_unfinished on relay.outbox (status, id)
  where status in ('open', 'dead', 'rejected');
create index outbox_untaken_key on relay.outbox (key, id)
  where status in ('rejected', 'cancelled') and key is not null;
-- What retention removes.
create index outbox_ended on relay.outbox (finished_at) where status in ('done', 'cancelled');

-- One row per message, subscriber and instance. There is no foreign key: its check would
-- cost every delivery a row lock, and retention removes both together.
create table relay.delivery (
  message_id      uuid not null,
  subscription    text not null,
  instance        text not null default '',
  target          text not null,
  status          relay.delivery_status not null,
  reason          text,
  attempts        integer not null default 0,
  handle_attempts integer not null default 0,
  acked_attempt   integer not null default 0,
  next_attempt_at timestamptz,
  response_code   integer,
  last_error      text,
  delivered_at    timestamptz,
  handled_at      timestamptz,
  updated_at      timestamptz not null default now(),
  due_at          timestamptz not null,
  circuit         text not null,
  shard           smallint not null,
  seq             bigint not null,
  key             text,
  search_key      text,
  primary key (message_id, subscription, instance)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

comment on column relay.delivery.due_at is
  'from when RELAY_GIVE_UP_AFTER counts: deliver_at or created_at, or when a person asked for it again';
comment on column relay.delivery.acked_attempt is
  'the last attempt of which the consumer said that its work had failed';
comment on column relay.delivery.delivered_at is
  'when it was first accepted: from then on it does not hold its key, whatever follows';
comment on column relay.delivery.circuit is
  'the destination whose health and concurrency this delivery shares: origin, broker, or subscription';

comment on column relay.delivery.search_key is
  'the key of a message that a person had sent again: key is null then, and the delivery outside the order';

create index delivery_key on relay.delivery (subscription, instance, key, seq)
  where key is not null and status in ('waiting', 'push_failed', 'handle_failed');
-- What still holds a key where the subscription says that a dead message does.
create index delivery_key_dead on relay.delivery (subscription, instance, key, seq)
  where key is not null and status = 'dead';
-- What keeps a subscription from being deleted, the oldest first.
create index delivery_outstanding on relay.delivery (subscription, seq)
  where status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') and subscription not in ('direct', 'default');
create index delivery_due on relay.delivery (shard, next_attempt_at)
  where next_attempt_at is not null;
-- What waits for its destination rather than for a time. What waits for its key is woken by
-- the end of its head: a hundred thousand behind one message are not to be walked past.
create index delivery_parked on relay.delivery (circuit, seq)
  where next_attempt_at is null and status in ('waiting', 'push_failed', 'handle_failed')
    and reason is distinct from 'key_blocked';
-- What has been due for too long.
create index delivery_overdue on relay.delivery (shard, due_at)
  where status in ('waiting', 'push_failed', 'handle_failed');
-- What is dead at a subscriber, in the order in which messages are listed.
create index delivery_dead on relay.delivery (subscription, message_id)
  where status = 'dead';

-- What a person looks for by key. Messages that ended without a delivery have
-- outbox_untaken_key.
create index delivery_search on relay.delivery (key, message_id) where key is not null;
create index delivery_search_again on relay.delivery (search_key, message_id) where search_key is not null;

-- Every failed attempt and the last one.
create table relay.attempt (
  message_id    uuid not null,
  subscription  text not null,
  instance      text not null,
  attempt       integer not null,
  started_at    timestamptz not null,
  duration      interval not null,
  outcome       text not null,
  response_code integer,
  error         text,
  response      bytea
) with (autovacuum_vacuum_insert_scale_factor = 0.05);

create index attempt_message on relay.attempt (message_id);

-- Relays that run now. A row is a sign of life, removed at a clean stop.
create table relay.instance (
  id         uuid primary key,
  name       text not null,
  version    text not null,
  streaming  boolean not null default false, -- it hears the stream and rings the others
  started_at timestamptz not null default now(),
  seen_at    timestamptz not null default now()
);

-- One row per shard: who may send and write its messages, and until when.
create table relay.lease (
  shard      smallint primary key check (shard between 0 and 63),
  owner      uuid,
  epoch      bigint not null default 0,
  expires_at timestamptz not null default '-infinity'
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

insert into relay.lease (shard) select generate_series(0, 63);

-- The same INSERT in one line.
create function relay.publish(
  topic        text,
  payload      text,
  key          text default null,
  deliver_at   timestamptz default null,
  delay        interval default null,
  destination  text default null,
  headers      jsonb default '{}',
  body         bytea default null,
  content_type text default 'application/json',
  source       text default null,
  id           uuid default null
) returns uuid
language plpgsql volatile
set search_path = pg_catalog
as $$
declare
  message_id uuid := coalesce(publish.id, relay.new_id());
begin
  if publish.deliver_at is not null and publish.delay is not null then
    raise exception 'relay.publish: give deliver_at or delay, not both' using errcode = 'invalid_parameter_value';
  end if;
  insert into relay.outbox (id, topic, key, payload, body, content_type, headers, source, destination, deliver_at)
  values (message_id, publish.topic, publish.key, publish.payload, publish.body,
    coalesce(publish.content_type, 'application/json'), coalesce(publish.headers, '{}'),
    publish.source, publish.destination,
    coalesce(publish.deliver_at, clock_timestamp() + publish.delay));
  return message_id;
end
$$;

comment on function relay.publish is 'Inserts one message into relay.outbox and returns its id.';
