-- What people change by SQL of their own is told to the relays, which would else find it by their next sweep.

-- step: transaction

-- One notification for each transaction, however many rows it changes: it asks the relays to sweep and to look at
-- what is due.
create function relay.changed_by_hand() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_catalog.pg_notify('relay_changed', '');
  return null;
end
$$;

-- The relay's own sessions bear its name, tell by themselves what they change, and pay for nothing but the conditions below.

-- step: lock relay.outbox
create trigger outbox_changed_by_hand after update on relay.outbox for each row
when (new.status = 'pending'
  and (old.status <> 'pending' or new.deliver_at is distinct from old.deliver_at)
  and current_setting('application_name') <> 'relay')
execute function relay.changed_by_hand();
-- Also where session_replication_role is replica.
alter table relay.outbox enable always trigger outbox_changed_by_hand;

-- step: lock relay.delivery
create trigger delivery_changed_by_hand after update on relay.delivery for each row
when (new.status in ('waiting', 'push_failed', 'handle_failed')
  and (old.status <> new.status or new.next_attempt_at is distinct from old.next_attempt_at)
  and current_setting('application_name') <> 'relay')
execute function relay.changed_by_hand();
alter table relay.delivery enable always trigger delivery_changed_by_hand;
