-- The tables of the example programs: a shop that takes orders, and a warehouse that
-- receives messages. In earnest these are two services with a database each, and what the
-- warehouse has received stands in its own relay.inbox.

create table orders (
  id       bigint generated always as identity primary key,
  customer text not null,
  cents    integer not null
);

create table shipment (
  id         bigint generated always as identity primary key,
  message_id uuid not null,
  what       text not null
);
