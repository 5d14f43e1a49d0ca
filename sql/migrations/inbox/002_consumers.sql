-- A role may be granted single consumers. Policies of relay.inbox say which role may receive
-- for which consumers, so that PostgreSQL judges the role in effect: that of SET ROLE, that of
-- a function's owner, a member's, a renamed one's.

-- step: transaction

-- A procedure with a SET clause cannot commit. The path is set again after each commit, which
-- ends what was set for one transaction.
create or replace procedure relay.forget_received(older_than interval, batch integer default 1000)
language plpgsql
as $$
declare
  before  timestamptz;
  reached timestamptz;
  removed integer;
begin
  set local search_path = pg_catalog, pg_temp;
  if older_than is null or older_than < '0' or batch is null or batch < 1 then
    raise exception 'relay.forget_received: older_than must not be negative, nor batch less than 1'
      using errcode = 'invalid_parameter_value';
  end if;
  before := clock_timestamp() - older_than;
  reached := '-infinity';
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
    set local search_path = pg_catalog, pg_temp;
    exit when removed < batch;
  end loop;
end
$$;

-- step: transaction

-- The caller inserts by its own right, which a policy limits.
create or replace function relay.receive(consumer text, message_id uuid) returns boolean
language plpgsql volatile security invoker
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into relay.inbox (consumer, message_id) values (receive.consumer, receive.message_id)
  on conflict do nothing;
  return found;
end
$$;

-- Roles that could call relay.receive() go on for every consumer, from the moment at which
-- the function inserts by their right. What default privileges gave was not meant. Consumers
-- wait for half a second at most while the table is waited for; then the step is tried again.
do $$
declare
  granted record;
begin
  perform set_config('lock_timeout', '500ms', true);
  alter table relay.inbox enable row level security;
  for granted in
    select x.grantee, case when x.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end as name
    from pg_proc p
    cross join lateral aclexplode(p.proacl) x
    where p.oid = 'relay.receive(text, uuid)'::regprocedure and x.privilege_type = 'EXECUTE' and x.grantee <> p.proowner
      and not exists (
        select from pg_default_acl d cross join lateral aclexplode(d.defaclacl) y
        where d.defaclrole = p.proowner and d.defaclobjtype = 'f' and d.defaclnamespace in (0, p.pronamespace)
          and y.grantee = x.grantee
      )
    group by x.grantee
  loop
    execute format('create policy %I on relay.inbox for insert to %s with check (true)',
      'grant_' || gen_random_uuid(), granted.name);
    execute format('grant insert (consumer, message_id) on relay.inbox to %s', granted.name);
  end loop;
end
$$;
