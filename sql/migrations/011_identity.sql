-- Which database this is, so that a copy of it does not send its messages.

-- step: transaction
-- The first relay that runs writes the row, and no migration does: a template or a dump that
-- no relay has worked on belongs to whichever relay runs first.
create table relay.identity (
  one               boolean primary key default true check (one),
  system_identifier bigint, -- of the server; null: the relay's role may not ask for it
  database_oid      bigint not null,
  stored_at         timestamptz not null default clock_timestamp()
);

comment on table relay.identity is
  'The database whose messages the relay delivers. Where the server or the database is another one, the rows are a copy: relay adopt';

revoke all on relay.identity from public;

-- Triggers of ours fire always, also where session_replication_role is replica: a load that sets it, or a role or a
-- database that has it set, would else leave deaths untold and relays with subscriptions of yesterday.

-- step: lock relay.outbox
alter table relay.outbox enable always trigger message_rejected;

-- step: lock relay.delivery
alter table relay.delivery enable always trigger delivery_died_at_once;
alter table relay.delivery enable always trigger delivery_died;

-- step: lock relay.subscription
alter table relay.subscription enable always trigger subscription_changed;
alter table relay.subscription enable always trigger subscription_deleted;

-- step: transaction
-- Patterns that match nothing, because a sign stands inside of a word, are refused with the form that was meant, as
-- relay.CheckPattern does it. It is a trigger on the topics and no constraint, so that a subscription that
-- has such a pattern already can be paused, and a dump with one can be restored.
create function relay.subscription_checked() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  pattern text;
  one     text;
  many    text;
  problem text;
begin
  foreach pattern in array coalesce(new.topics, '{}') loop
    one := regexp_replace(regexp_replace(pattern, '([^.*#>])[*#>]+', '\1.*', 'g'), '[*#>]+([^.*#>])', '*.\1', 'g');
    many := regexp_replace(regexp_replace(pattern, '([^.*#>])[*#>]+', '\1.#', 'g'), '[*#>]+([^.*#>])', '#.\1', 'g');
    one := regexp_replace(one, '(^|\.)(>|[*#>]{2,})(?=\.|$)', '\1#', 'g');
    many := regexp_replace(many, '(^|\.)(>|[*#>]{2,})(?=\.|$)', '\1#', 'g');
    if pattern ~ '\s' then
      problem := format('"%s" holds white space, and topics are matched with it: write %s', pattern,
        array_to_string(array_remove(regexp_split_to_array(pattern, '[\s,]+'), ''), ' and '));
    elsif one <> many then
      problem := format('"%s" matches nothing, because * and # stand for whole words between dots: write %s (one word) or %s (any number of words)', pattern, one, many);
    elsif many <> pattern then
      problem := format('"%s" is none of the patterns here, in which * and # stand for whole words between dots: write %s', pattern, many);
    end if;
    if problem is not null then
      raise exception '%', problem
        using errcode = 'check_violation', schema = 'relay', table = 'subscription', column = 'topics',
          constraint = 'subscription_topics_pattern';
    end if;
  end loop;
  return new;
end
$$;

-- step: lock relay.subscription
create trigger subscription_checked before insert or update of topics on relay.subscription
for each row execute function relay.subscription_checked();
alter table relay.subscription enable always trigger subscription_checked;
