-- What people look for, and what the relays count for them.

-- step: lock relay.delivery
alter table relay.delivery add column cause text;
comment on column relay.delivery.cause is
  'the class of last_error, one of the list in docs/troubleshooting.md, or null where nothing has failed or an earlier version wrote it';

-- step: lock relay.outbox
alter table relay.outbox add column cause text;
comment on column relay.outbox.cause is 'why the message was rejected, as delivery.cause has it';

-- step: transaction
-- Who did what to which object, written in the transaction of the change.
create table relay.audit (
  id      bigint generated always as identity primary key,
  at      timestamptz not null default clock_timestamp(),
  actor   text not null, -- as the person named himself
  role    text not null,
  address text, -- from where; null: from the machine's own command line
  action  text not null,
  kind    text not null, -- of the object
  object  text, -- null: none
  reason  text, -- as the person gave it
  result  text,
  details jsonb
);

comment on table relay.audit is 'Who did what to which object.';

create index audit_at on relay.audit (at);
create index audit_object on relay.audit (kind, object, id) where object is not null;

-- What each relay has sent and what became of it, by minute. Each relay writes rows of its own, so that none
-- waits for another.
create table relay.pulse_sent (
  minute   timestamptz not null,
  relay    uuid not null, -- the instance that counted
  source   text not null,
  topic    text not null,
  taken    bigint not null, -- messages taken up
  rejected bigint not null,
  bytes    bigint not null,
  last_at  timestamptz not null, -- when the last of them was inserted
  primary key (minute, relay, source, topic)
);

create table relay.pulse_outcome (
  minute        timestamptz not null,
  relay         uuid not null,
  subscription  text not null,
  accepted      bigint not null,
  handled       bigint not null,
  push_failed   bigint not null, -- failed attempts
  handle_failed bigint not null,
  dead          bigint not null,
  wait          bigint[] not null, -- from due to accepted, in buckets
  total         bigint[] not null, -- from due to handled
  primary key (minute, relay, subscription)
);

comment on table relay.pulse_sent is 'Messages by minute, source and topic, as the relays counted them. Rows older than 8 days are removed.';
comment on table relay.pulse_outcome is 'Attempts and latencies by minute and subscription, as the relays counted them. Rows older than 8 days are removed.';

-- Requests that carried a key of the client's own, so that a second one has the result of the first.
create table relay.idempotency (
  operation  text not null,
  key        text not null,
  digest     bytea not null, -- SHA-256 of the request
  result     uuid not null, -- the message or the job that it made
  created_at timestamptz not null default clock_timestamp(),
  primary key (operation, key)
);

create index idempotency_created on relay.idempotency (created_at);

revoke all on relay.audit, relay.pulse_sent, relay.pulse_outcome, relay.idempotency from public;

create function relay.subscription_versioned() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  new.version := old.version + 1;
  return new;
end
$$;

-- step: lock relay.job
alter table relay.job
  add column cursor text,
  add column counted boolean not null default true,
  add column start_at timestamptz,
  add column actor text,
  add column reason text;
comment on column relay.job.cursor is 'where the search for its messages goes on, or null at the beginning';
comment on column relay.job.counted is 'total is the number of all messages that match, and else a part of them';
comment on column relay.job.start_at is 'no message is changed before';

-- step: lock relay.subscription
alter table relay.subscription add column version bigint not null default 1;
comment on column relay.subscription.version is 'counts the changes, so that one person does not overwrite what another has just set';
create trigger subscription_versioned before update on relay.subscription
for each row execute function relay.subscription_versioned();
alter table relay.subscription enable always trigger subscription_versioned;

-- Conditions that hold for every row keep some of these indexes for the statements that name the condition too: with
-- statistics of a time when nothing was unfinished or dead, any of them looks as cheap as the right one for a statement
-- on which deliveries wait.

-- The order in which people read: by time, then as inserted. Ranges of time are ranges of the index, and ids that
-- applications have made do no harm.

-- step: concurrently
create index concurrently if not exists outbox_created on relay.outbox (created_at, seq);

-- step: concurrently
create index concurrently if not exists outbox_standing on relay.outbox (status, created_at, seq)
  where status in ('open', 'dead', 'rejected', 'cancelled') and topic <> '';

-- step: concurrently
create index concurrently if not exists outbox_untaken on relay.outbox (key, seq, id)
  where status in ('rejected', 'cancelled') and key is not null;

-- What is dead, by subscriber and cause.

-- step: concurrently
create index concurrently if not exists delivery_dead_cause on relay.delivery (subscription, cause, seq, message_id)
  where status = 'dead' and attempts >= 0;

-- What has not ended, counted without a look at the table.

-- step: concurrently
create index concurrently if not exists delivery_standing on relay.delivery (subscription, status, reason, cause)
  where status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') and attempts >= 0;

-- step: concurrently
create index concurrently if not exists delivery_key_seq on relay.delivery (key, seq, message_id) where key is not null;

-- step: concurrently
create index concurrently if not exists delivery_search_key_seq on relay.delivery (search_key, seq, message_id)
  where search_key is not null;

-- What a job did to a message, asked by the message.

-- step: concurrently
create index concurrently if not exists job_result_message on relay.job_result (message_id);

-- Their successors stand above.

-- step: concurrently
drop index concurrently if exists relay.outbox_unfinished;

-- step: concurrently
drop index concurrently if exists relay.outbox_untaken_key;

-- step: concurrently
drop index concurrently if exists relay.delivery_dead;

-- step: concurrently
drop index concurrently if exists relay.delivery_search;

-- step: concurrently
drop index concurrently if exists relay.delivery_search_again;
