-- Acknowledgements by consumers.

-- What a consumer said of a delivery and is not applied yet. It is written under the lock of
-- the message's row, perhaps before anything else of the delivery is: a consumer may be
-- faster than the relay. The owner of the shard applies it.
create table relay.ack (
  message_id  uuid not null,
  subscriber  bytea not null, -- half of the SHA-256 of subscription, a zero byte, and instance
  shard       smallint not null,
  attempt     integer not null,
  handled     boolean not null,
  retry       boolean not null,
  error       text not null,
  received_at timestamptz not null default clock_timestamp(),
  primary key (message_id, subscriber)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

create index ack_shard on relay.ack (shard, received_at);

-- The key that signs tokens. Whoever reads it can acknowledge anything, so nobody but the
-- relay may.
create table relay.ack_key (key bytea not null);
create unique index ack_key_one on relay.ack_key ((true));
revoke all on relay.ack, relay.ack_key from public;

insert into relay.ack_key
select sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
