-- The tables of the example programs: a shop that takes orders, and a warehouse that
-- receives messages. In earnest these are two services with a database each.

create table orders (
  id       bigint generated always as identity primary key,
  customer text not null,
  cents    integer not null
);

-- Ids of the messages that were received. Written in the transaction of the work itself,
-- so that a message is not worked on twice. Rows older than RELAY_RETENTION may go.
create table received (
  message_id  uuid primary key,
  received_at timestamptz not null default now()
);

create table shipment (
  id         bigint generated always as identity primary key,
  message_id uuid not null references received,
  what       text not null
);
