-- Names mean what PostgreSQL brings, whoever runs the statement and whatever its search path
-- is. What earlier migrations bound by the search path of their time is bound anew here; what
-- cannot be is looked at when all migrations have run.

-- step: transaction

-- One expression, bound now and still inlined into an INSERT. A function with a SET clause
-- would cost an INSERT more than all its checks.
create or replace function relay.new_id() returns uuid
language sql volatile parallel safe
return encode(
  set_bit(set_bit(
    overlay(uuid_send(gen_random_uuid())
      placing substring(int8send((date_part('epoch', clock_timestamp()) * 1000)::bigint) from 3)
      from 1 for 6),
    52, 1), 53, 1),
  'hex')::uuid;

create or replace function relay.wants_dead(topics text[]) returns boolean
language sql immutable parallel safe
return exists (select from unnest(topics) as p(pattern) where p.pattern ~ '^relay((\.#)*\.(dead|\*)(\.#)*|(\.#)+)$');

create or replace function relay.shown_target(target text) returns text
language sql immutable parallel safe
return case when target ~* '^https?://'
  then regexp_replace(regexp_replace(target, '^([^:]*://)[^/?#]*@', '\1'), '\?.*$', convert_from('\x3fe280a6', 'UTF8'))
  else target end;

-- Types of pg_temp would go before those of pg_catalog if pg_temp were not named.
alter function relay.subscription_changed() set search_path = pg_catalog, pg_temp;
alter function relay.subscription_deleted() set search_path = pg_catalog, pg_temp;
alter function relay.delivery_died() set search_path = pg_catalog, pg_temp;
alter function relay.message_rejected() set search_path = pg_catalog, pg_temp;

-- The same INSERT in one line. A role may have been granted every column but destination, so
-- that only a message which names one mentions the column.
create or replace function relay.publish(
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
set search_path = pg_catalog, pg_temp
as $$
declare
  message_id uuid := coalesce(publish.id, relay.new_id());
  due        timestamptz := coalesce(publish.deliver_at, clock_timestamp() + publish.delay);
begin
  if publish.deliver_at is not null and publish.delay is not null then
    raise exception 'relay.publish: give deliver_at or delay, not both' using errcode = 'invalid_parameter_value';
  end if;
  if publish.destination is null then
    insert into relay.outbox (id, topic, key, payload, body, content_type, headers, source, deliver_at)
    values (message_id, publish.topic, publish.key, publish.payload, publish.body,
      coalesce(publish.content_type, 'application/json'), coalesce(publish.headers, '{}'), publish.source, due);
  else
    insert into relay.outbox (id, topic, key, payload, body, content_type, headers, source, destination, deliver_at)
    values (message_id, publish.topic, publish.key, publish.payload, publish.body,
      coalesce(publish.content_type, 'application/json'), coalesce(publish.headers, '{}'), publish.source,
      publish.destination, due);
  end if;
  return message_id;
end
$$;

-- step: lock relay.subscription

-- These checks call functions on arrays, and compare a float with an integer: an overload in
-- public that fits exactly would have gone before. What is there already goes on unchecked.
alter table relay.subscription
  drop constraint subscription_name,
  drop constraint subscription_topics,
  drop constraint subscription_target,
  drop constraint subscription_ack,
  drop constraint subscription_on_dead,
  drop constraint subscription_positive,
  drop constraint subscription_backoff,
  drop constraint subscription_secrets,
  drop constraint subscription_headers,
  add constraint subscription_name check (
    octet_length(name) between 1 and 255 and name !~ '[:/[:space:][:cntrl:]]' and name not in ('direct', 'default')) not valid,
  add constraint subscription_topics check (
    cardinality(topics) > 0 and array_position(topics, null) is null and array_position(topics, '') is null) not valid,
  add constraint subscription_target check (octet_length(target) between 1 and 8000) not valid,
  add constraint subscription_ack check (ack in ('response', 'consumer')) not valid,
  add constraint subscription_on_dead check (on_dead in ('continue', 'block')) not valid,
  add constraint subscription_positive check (
    ack_timeout > interval '0' and timeout > interval '0' and concurrency > 0 and rate_limit > 0
    and max_attempts > 0 and max_handle_attempts > 0 and cardinality(backoff) > 0) not valid,
  add constraint subscription_backoff check (
    array_position(backoff, null) is null and interval '0' < all (backoff) and interval '1 year' > all (backoff)
    and timeout < interval '1 day' and ack_timeout < interval '1 year') not valid,
  add constraint subscription_secrets check (array_position(secrets, null) is null) not valid,
  add constraint subscription_headers check (jsonb_typeof(headers) = 'object') not valid;

-- step: lock relay.job

alter table relay.job
  drop constraint job_rate,
  add constraint job_rate check (rate > 0) not valid;

-- step: lock relay.delivery

-- The conditions of the triggers compare statuses, for which an operator of public that takes
-- this very type would have gone before the one on all enums.
create or replace trigger delivery_died_at_once after insert on relay.delivery
for each row when (new.status = 'dead') execute function relay.delivery_died();

create or replace trigger delivery_died after update on relay.delivery
for each row when (new.status = 'dead' and (old.status <> 'dead' or old.updated_at <> new.updated_at))
execute function relay.delivery_died();

-- step: lock relay.outbox

create or replace trigger message_rejected after update on relay.outbox
for each row when (new.status = 'rejected' and old.status <> 'rejected' and new.topic <> 'relay.dead')
execute function relay.message_rejected();
