-- A delayed message becomes due once, by a change of its row, and is an ordinary pending message from then on: it is
-- found by the same indexes as all others, in its place.

-- step: lock relay.outbox
alter table relay.outbox add column due boolean not null default false;
comment on column relay.outbox.due is
  'the relay has seen that deliver_at has come, and treats the message as if it had none';

-- step: transaction
create function relay.delay_changed() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  new.due := false;
  return new;
end
$$;

-- step: lock relay.outbox
-- Updates that do not name deliver_at pay nothing for it.
create trigger outbox_delay_changed before update of deliver_at on relay.outbox for each row
when (new.due and new.deliver_at is distinct from old.deliver_at)
execute function relay.delay_changed();
alter table relay.outbox enable always trigger outbox_delay_changed;

-- step: concurrently
create index concurrently if not exists outbox_ready on relay.outbox (shard, seq)
  where status = 'pending' and key is null and (deliver_at is null or due);

-- step: concurrently
create index concurrently if not exists outbox_ready_key on relay.outbox (shard, key, seq)
  where status = 'pending' and key is not null and (deliver_at is null or due);

-- step: concurrently
create index concurrently if not exists outbox_waiting on relay.outbox (shard, deliver_at)
  where status = 'pending' and deliver_at is not null and not due;

-- step: concurrently
create index concurrently if not exists outbox_waiting_key on relay.outbox (key, deliver_at)
  where status = 'pending' and key is not null and deliver_at is not null and not due;

-- step: concurrently
drop index concurrently if exists relay.outbox_pending;

-- step: concurrently
drop index concurrently if exists relay.outbox_pending_key;

-- step: concurrently
drop index concurrently if exists relay.outbox_delayed;

-- step: concurrently
drop index concurrently if exists relay.outbox_delayed_key;
