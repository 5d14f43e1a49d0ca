-- What keeps one row from holding up the others.

-- step: lock relay.lease

-- A relay takes a lease over when its epoch and this counter have not changed for one ttl of
-- its own clock. A relay of an earlier version changes expires_at alone, which counts as well,
-- and judges others by expires_at, which is still written.
alter table relay.lease
  add column renewals bigint not null default 0,
  add column ttl interval;

comment on column relay.lease.renewals is 'counts the renewals: what does not change for a ttl belongs to a relay that has died';
comment on column relay.lease.ttl is 'RELAY_LEASE_TTL of the relay that renewed it last';

-- step: transaction

-- Rows that a relay could not read, change or remove, and why. The relay keeps the list for
-- people: it has its own in memory, and goes by that.
create table relay.quarantine (
  relay      uuid not null, -- the instance that works on it
  operation  text not null,
  subject    text not null, -- names the row within the operation
  message_id uuid,
  error      text not null,
  tries      integer not null,
  since      timestamptz not null,
  updated_at timestamptz not null default clock_timestamp(),
  primary key (relay, operation, subject)
);

comment on table relay.quarantine is
  'Rows that a relay could not read, change or remove. They are tried again by themselves, and nothing else waits for them.';

revoke all on relay.quarantine from public;
