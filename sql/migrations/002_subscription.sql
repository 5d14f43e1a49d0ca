-- Subscriptions: who receives which topics, and how.

create table relay.subscription (
  name                text primary key,
  topics              text[] not null,
  target              text not null,
  paused              boolean not null default false,
  ordered             boolean not null default true,
  broadcast           boolean not null default false,
  ack                 text not null default 'response',
  ack_timeout         interval not null default '1 minute',
  timeout             interval,
  concurrency         integer,
  rate_limit          double precision,
  max_attempts        integer,
  max_handle_attempts integer,
  backoff             interval[],
  on_dead             text not null default 'continue',
  secrets             text[],
  headers             jsonb not null default '{}',
  created_at          timestamptz not null default now(),
  constraint subscription_name check (
    octet_length(name) between 1 and 255 and name !~ '[:/[:space:][:cntrl:]]' and name not in ('direct', 'default')),
  constraint subscription_topics check (
    cardinality(topics) > 0 and array_position(topics, null) is null and array_position(topics, '') is null),
  constraint subscription_target check (octet_length(target) between 1 and 8000),
  constraint subscription_ack check (ack in ('response', 'consumer')),
  constraint subscription_on_dead check (on_dead in ('continue', 'block')),
  constraint subscription_positive check (
    ack_timeout > interval '0' and timeout > interval '0' and concurrency > 0 and rate_limit > 0
    and max_attempts > 0 and max_handle_attempts > 0 and cardinality(backoff) > 0),
  constraint subscription_backoff check (
    array_position(backoff, null) is null and interval '0' < all (backoff) and interval '1 year' > all (backoff)
    and timeout < interval '1 day' and ack_timeout < interval '1 year'),
  constraint subscription_secrets check (array_position(secrets, null) is null),
  constraint subscription_headers check (jsonb_typeof(headers) = 'object')
);

comment on table relay.subscription is
  'Consumer groups. A change takes effect within two seconds, for messages inserted after it at once.';

-- Reading messages returns this number, so that routing never works with subscriptions
-- that are older than the message.
create table relay.subscription_version (version bigint not null);
insert into relay.subscription_version values (1);

create function relay.subscription_changed() returns trigger
language plpgsql set search_path = pg_catalog as $$
begin
  update relay.subscription_version set version = version + 1;
  return null;
end
$$;

create trigger subscription_changed after insert or update or delete or truncate on relay.subscription
for each statement execute function relay.subscription_changed();

create function relay.subscription_deleted() returns trigger
language plpgsql set search_path = pg_catalog as $$
begin
  if exists (select from relay.delivery d where d.subscription = old.name and d.subscription not in ('direct', 'default')
      and d.status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack')) then
    raise exception 'subscription "%" has deliveries outstanding', old.name
      using errcode = 'foreign_key_violation',
        hint = 'Let them end, or run: relay subscriptions delete --force ' || old.name;
  end if;
  return old;
end
$$;

create trigger subscription_deleted before delete on relay.subscription
for each row execute function relay.subscription_deleted();

-- Whether a subscription wants to hear of the dead: whether one of its patterns matches
-- relay.dead and begins with the very word relay.
create function relay.wants_dead(topics text[]) returns boolean
language sql immutable parallel safe as $$
  select exists (select from unnest(topics) as p(pattern) where p.pattern ~ '^relay((\.#)*\.(dead|\*)(\.#)*|(\.#)+)$')
$$;

create index subscription_wants_dead on relay.subscription (name) where relay.wants_dead(topics);

-- A target without user, password and query.
create function relay.shown_target(target text) returns text
language sql immutable parallel safe as $$
  select case when target ~* '^https?://'
    then regexp_replace(regexp_replace(target, '^([^:]*://)[^/?#]*@', '\1'), '\?.*$', '?…')
    else target end
$$;

-- The transaction that writes a death publishes it. Who wants none pays for two comparisons.
create function relay.delivery_died() returns trigger
language plpgsql set search_path = pg_catalog as $$
begin
  if exists (select from relay.subscription s where relay.wants_dead(s.topics)) then
    insert into relay.outbox (topic, payload)
    select 'relay.dead', json_build_object(
      'message_id', o.id, 'topic', o.topic, 'key', o.key, 'source', o.source,
      'subscription', new.subscription, 'instance', relay.shown_target(new.instance), 'target', relay.shown_target(new.target),
      'status', new.status, 'reason', new.reason, 'last_error', new.last_error, 'attempts', new.attempts,
      'response_code', new.response_code, 'created_at', o.created_at, 'dead_at', clock_timestamp())
    from relay.outbox o where o.id = new.message_id and o.topic <> 'relay.dead';
  end if;
  return null;
end
$$;

create trigger delivery_died_at_once after insert on relay.delivery
for each row when (new.status = 'dead') execute function relay.delivery_died();

-- What was dead and sent again dies anew at another time.
create trigger delivery_died after update on relay.delivery
for each row when (new.status = 'dead' and (old.status <> 'dead' or old.updated_at <> new.updated_at))
execute function relay.delivery_died();

create function relay.message_rejected() returns trigger
language plpgsql set search_path = pg_catalog as $$
begin
  if exists (select from relay.subscription s where relay.wants_dead(s.topics)) then
    insert into relay.outbox (topic, payload)
    values ('relay.dead', json_build_object(
      'message_id', new.id, 'topic', new.topic, 'key', new.key, 'source', new.source,
      'subscription', null, 'instance', null, 'target', relay.shown_target(new.destination),
      'status', new.status, 'reason', null, 'last_error', new.last_error, 'attempts', 0,
      'response_code', null, 'created_at', new.created_at, 'dead_at', clock_timestamp()));
  end if;
  return null;
end
$$;

create trigger message_rejected after update on relay.outbox
for each row when (new.status = 'rejected' and old.status <> 'rejected' and new.topic <> 'relay.dead')
execute function relay.message_rejected();
