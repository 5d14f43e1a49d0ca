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
