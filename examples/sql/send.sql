-- Takes an order and says so: one row in our own table and one in relay.outbox, in one
-- transaction. Either both are there afterwards, or neither.
--
--   psql "$DATABASE_URL" -v customer=Ada -v cents=4200 -f send.sql
--   psql "$DATABASE_URL" -v customer=Ada -v cents=4200 -v roll_back=yes -f send.sql
\set ON_ERROR_STOP on

begin;

insert into orders (customer, cents) values (:'customer', :'cents')
returning id as order_id \gset

insert into relay.outbox (topic, key, payload)
values ('order.created', 'order-' || :'order_id',
  json_build_object('order', :'order_id'::bigint, 'customer', :'customer', 'cents', :'cents'::integer)::text)
returning id as message_id \gset

\if :{?roll_back}
  rollback;
  \echo rolled back :message_id
\else
  commit;
  \echo committed :message_id
\endif
