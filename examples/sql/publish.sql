-- The same in one line: relay.publish() does the INSERT into relay.outbox and returns the
-- message's id. It takes part in the transaction that calls it, as any statement does. The
-- second message is delivered an hour later.
--
--   psql "$DATABASE_URL" -f publish.sql
\set ON_ERROR_STOP on

begin;
select relay.publish('order.created', '{"order":42}', key => 'order-42');
select relay.publish('order.reminder', '{"order":42}', delay => '1 hour');
commit;
