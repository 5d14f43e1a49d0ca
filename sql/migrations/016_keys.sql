-- What waits of a key is read together with its pending messages, whichever subscribers it waits for.

-- What awaits an acknowledgement has been accepted, so that none of it is in these indexes. That they name it keeps the
-- statements that read by key from the indexes that begin with the subscription: with statistics of a time when nothing
-- was waiting or dead, those look as cheap.

-- step: concurrently
create index concurrently if not exists delivery_waiting_key on relay.delivery (shard, key, subscription, instance, seq)
  where key is not null and status in ('waiting', 'push_failed', 'handle_failed', 'awaiting_ack') and delivered_at is null;

-- step: concurrently
create index concurrently if not exists delivery_holding_key on relay.delivery (shard, key, subscription, instance, seq)
  where key is not null and status in ('dead', 'awaiting_ack') and delivered_at is null;
