-- A single-row INSERT pays less for its checks. A WHEN clause is stored as text, and each statement parses and plans it
-- anew; what a function tests is planned once for each session.

-- step: transaction
-- All names are qualified, which costs less than a search_path of its own: this runs inside of each application's INSERT.
create or replace function relay.outbox_checked() returns trigger
language plpgsql as $$
declare
  violated text;
  problem  text;
begin
  -- Most rows are in order: one expression costs less than the tests below.
  if (new.headers operator(pg_catalog.=) '{}'
      or pg_catalog.jsonb_typeof(new.headers) operator(pg_catalog.=) 'object'
        and not pg_catalog.jsonb_path_exists(new.headers, 'strict $.* ? (@.type() != "string")')
        and pg_catalog.octet_length(new.headers::pg_catalog.text) operator(pg_catalog.<=) 65536)
    and new.body is null and new.content_type operator(pg_catalog.=) 'application/json'
    and not pg_catalog.starts_with(new.topic, 'relay.')
    and least(pg_catalog.octet_length(new.topic), pg_catalog.octet_length(new.key)) operator(pg_catalog.>) 0
    and greatest(pg_catalog.octet_length(new.topic), pg_catalog.octet_length(new.key),
      pg_catalog.octet_length(new.source), pg_catalog.octet_length(new.destination)) operator(pg_catalog.<=) 255
    and (new.payload is null or new.payload::pg_catalog.json is not null) then
    return new;
  end if;
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
create or replace trigger outbox_checked before insert on relay.outbox for each row execute function relay.outbox_checked();
alter table relay.outbox enable always trigger outbox_checked;
