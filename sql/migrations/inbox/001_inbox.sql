-- What a consumer has received, so that it works once on a message that comes twice. It
-- stands by itself: a consumer's database needs no outbox.

create table relay.inbox (
  consumer    text not null,
  message_id  uuid not null,
  received_at timestamptz not null default now(),
  primary key (consumer, message_id),
  constraint inbox_consumer_length check (octet_length(consumer) between 1 and 255)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

comment on table relay.inbox is
  'Messages that consumers have received: relay.receive() adds them, relay.forget_received() removes them.';

-- What relay.forget_received() removes.
create index inbox_received on relay.inbox (received_at);

-- The caller needs no right to the table. It is not strict: null is an error, since a null
-- answer would read as 'a duplicate' and lose the message.
create function relay.receive(consumer text, message_id uuid) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into relay.inbox (consumer, message_id) values (receive.consumer, receive.message_id)
  on conflict do nothing;
  return found;
end
$$;

comment on function relay.receive is
  'True if the consumer receives the message for the first time, false for a duplicate. Part of the transaction that calls it: after a rollback the message is new again.';

revoke all on function relay.receive from public;

-- A procedure, since it commits after each batch. Each batch goes on where the last one
-- ended: entries of removed rows stay in the index until a vacuum.
create procedure relay.forget_received(older_than interval, batch integer default 1000)
language plpgsql
as $$
declare
  before  timestamptz := clock_timestamp() - older_than;
  reached timestamptz := '-infinity';
  removed integer;
begin
  if older_than is null or older_than < '0' or batch is null or batch < 1 then
    raise exception 'relay.forget_received: older_than must not be negative, nor batch less than 1'
      using errcode = 'invalid_parameter_value';
  end if;
  loop
    with old as materialized (
      select ctid, received_at from relay.inbox
      where received_at >= reached and received_at < before
      order by received_at limit batch for update skip locked
    ), gone as (
      delete from relay.inbox where ctid = any (array(select ctid from old))
    )
    select count(*), coalesce(max(old.received_at), reached) into removed, reached from old;
    commit;
    exit when removed < batch;
  end loop;
end
$$;

comment on procedure relay.forget_received is
  'Removes what consumers received longer ago than older_than, batch rows at a time, each batch in a transaction of its own. For the owner of relay.inbox, outside of a transaction.';

revoke all on procedure relay.forget_received from public;
