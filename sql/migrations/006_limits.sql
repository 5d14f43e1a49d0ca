-- Limits of what applications insert, checked once, and topics that only the relay inserts.

-- step: lock relay.outbox
alter table relay.outbox add column internal boolean not null default false;
comment on column relay.outbox.internal is
  'the relay itself has inserted it: its topic may begin with relay. No application is granted this column';

-- What a report of a death says of a target: it may be as long as a row made it before
-- there were limits.
create function relay.reported_target(target text) returns text
language sql immutable parallel safe
return case when pg_catalog.octet_length(target) operator(pg_catalog.<=) 8000 then relay.shown_target(target)
  else pg_catalog.format('(a target of %s bytes)', pg_catalog.octet_length(target)) end;

create or replace function relay.delivery_died() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if exists (select from relay.subscription s where relay.wants_dead(s.topics)) then
    insert into relay.outbox (topic, payload, internal)
    select 'relay.dead', json_build_object(
      'message_id', o.id, 'topic', o.topic, 'key', o.key, 'source', left(o.source, 255),
      'subscription', new.subscription, 'instance', relay.reported_target(new.instance), 'target', relay.reported_target(new.target),
      'status', new.status, 'reason', new.reason, 'last_error', left(new.last_error, 4096), 'attempts', new.attempts,
      'response_code', new.response_code, 'created_at', o.created_at, 'dead_at', clock_timestamp()), true
    from relay.outbox o where o.id = new.message_id and o.topic <> 'relay.dead';
  end if;
  return null;
end
$$;

create or replace function relay.message_rejected() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if exists (select from relay.subscription s where relay.wants_dead(s.topics)) then
    insert into relay.outbox (topic, payload, internal)
    values ('relay.dead', json_build_object(
      'message_id', new.id, 'topic', new.topic, 'key', new.key, 'source', left(new.source, 255),
      'subscription', null, 'instance', null, 'target', relay.reported_target(new.destination),
      'status', new.status, 'reason', null, 'last_error', left(new.last_error, 4096), 'attempts', 0,
      'response_code', null, 'created_at', new.created_at, 'dead_at', clock_timestamp()), true);
  end if;
  return null;
end
$$;

-- step: transaction
-- So that a dump of the rows alone can be restored.
update relay.outbox set internal = true where starts_with(topic, 'relay.') and not internal;

-- step: transaction
-- Refuses what an INSERT may not contain, under the name of a constraint. It is a trigger and
-- no constraint, since those are checked again whenever a status is written, and since rows
-- that are older than a limit must come to their end. All names are qualified, which costs
-- less than a search_path of its own: this runs inside of each application's INSERT.
create function relay.outbox_checked() returns trigger
language plpgsql as $$
declare
  violated text;
  problem  text;
begin
  if new.headers is null or new.headers operator(pg_catalog.<>) '{}' then
    if new.headers is null or new.headers operator(pg_catalog.=) 'null' then
      new.headers := '{}';
    elsif pg_catalog.jsonb_typeof(new.headers) operator(pg_catalog.<>) 'object'
      or pg_catalog.jsonb_path_exists(new.headers, 'strict $.* ? (@.type() != "string")') then
      violated := 'outbox_headers';
      problem := 'headers must be a JSON object whose values are strings';
    elsif pg_catalog.octet_length(new.headers::pg_catalog.text) operator(pg_catalog.>) 65536 then
      violated := 'outbox_headers';
      problem := pg_catalog.format('headers have %s bytes as text, and at most 65536 are allowed', pg_catalog.octet_length(new.headers::pg_catalog.text));
    end if;
  end if;
  -- Most of these rows are in order too: one expression costs less than the tests below.
  if violated is null and new.body is null and new.content_type operator(pg_catalog.=) 'application/json'
    and not pg_catalog.starts_with(new.topic, 'relay.')
    and least(pg_catalog.octet_length(new.topic), pg_catalog.octet_length(new.key)) operator(pg_catalog.>) 0
    and greatest(pg_catalog.octet_length(new.topic), pg_catalog.octet_length(new.key),
      pg_catalog.octet_length(new.source), pg_catalog.octet_length(new.destination)) operator(pg_catalog.<=) 255
    and (new.payload is null or new.payload::pg_catalog.json is not null) then
    return new;
  end if;
  if violated is not null then
    null;
  elsif pg_catalog.starts_with(new.topic, 'relay.') and not new.internal then
    violated := 'outbox_topic_reserved';
    problem := 'topics that begin with "relay." are for the relay''s own messages: choose another topic';
  elsif pg_catalog.octet_length(new.topic) operator(pg_catalog.<) 1 or pg_catalog.octet_length(new.topic) operator(pg_catalog.>) 255 then
    violated := 'outbox_topic_length';
    problem := pg_catalog.format('topic has %s bytes, and 1 to 255 are allowed', pg_catalog.octet_length(new.topic));
  elsif pg_catalog.octet_length(new.key) operator(pg_catalog.<) 1 or pg_catalog.octet_length(new.key) operator(pg_catalog.>) 1024 then
    violated := 'outbox_key_length';
    problem := pg_catalog.format('key has %s bytes, and 1 to 1024 are allowed; null is no key', pg_catalog.octet_length(new.key));
  elsif pg_catalog.octet_length(new.content_type) operator(pg_catalog.<) 1 or pg_catalog.octet_length(new.content_type) operator(pg_catalog.>) 255 then
    violated := 'outbox_content_type_length';
    problem := pg_catalog.format('content_type has %s bytes, and 1 to 255 are allowed', pg_catalog.octet_length(new.content_type));
  elsif pg_catalog.octet_length(new.source) operator(pg_catalog.>) 255 then
    violated := 'outbox_source_length';
    problem := pg_catalog.format('source has %s bytes, and at most 255 are allowed', pg_catalog.octet_length(new.source));
  elsif pg_catalog.octet_length(new.destination) operator(pg_catalog.>) 2048 then
    violated := 'outbox_destination_length';
    problem := pg_catalog.format('destination has %s bytes, and at most 2048 are allowed', pg_catalog.octet_length(new.destination));
  elsif new.payload is not null and new.body is not null then
    violated := 'outbox_payload_or_body';
    problem := 'payload and body are both set, and one of them must be null';
  elsif new.payload is null
    or pg_catalog.lower(pg_catalog.btrim(pg_catalog.split_part(new.content_type, ';', 1))) operator(pg_catalog.<>) 'application/json'
    or new.payload::pg_catalog.json is not null then -- or else it is an error, 22P02
    return new;
  end if;
  if violated is null then -- content_type is null
    return new;
  end if;
  raise exception using errcode = 'check_violation', schema = 'relay', table = 'outbox', constraint = violated,
    message = pg_catalog.format('relay.outbox refuses the message: %s', problem);
end
$$;

-- step: lock relay.outbox
alter table relay.outbox
  drop constraint outbox_topic_length,
  drop constraint outbox_key_length,
  drop constraint outbox_content_type_length,
  drop constraint outbox_payload_or_body,
  drop constraint outbox_payload_json;
-- The function is called for rows that are not ordinary. The condition of an ordinary one is
-- short on purpose: each statement parses and plans it anew.
create trigger outbox_checked before insert on relay.outbox for each row
when ((
  new.headers = '{}' and new.body is null and new.content_type = 'application/json'
  and new.topic !~ '^(relay\.|$)'
  and octet_length(concat(new.topic, new.key, new.source, new.destination)) < 256
  and (new.payload is null or new.payload::json is not null)
) is not true or new.key = '')
execute function relay.outbox_checked();
-- Also where session_replication_role is replica.
alter table relay.outbox enable always trigger outbox_checked;

-- step: lock relay.subscription
-- They are never validated: what is there already goes on.
alter table relay.subscription
  add constraint subscription_topics_size check (octet_length(array_to_string(topics, ',')) <= 65536) not valid,
  add constraint subscription_backoff_size check (cardinality(backoff) <= 1000) not valid,
  add constraint subscription_secrets_size check (octet_length(array_to_string(secrets, ',')) <= 65536) not valid,
  add constraint subscription_headers_size check (octet_length(headers::text) <= 65536) not valid,
  add constraint subscription_rate_finite check (rate_limit < 'infinity') not valid;
