-- How much was outstanding, by minute.

-- step: transaction
create table relay.pulse_standing (
  minute           timestamptz primary key,
  messages         bigint not null, -- pending and due, or open
  messages_exact   boolean not null, -- false: counting stopped there
  deliveries       jsonb not null, -- that had not ended, by subscription; one that is not named had none
  deliveries_exact boolean not null
);

comment on table relay.pulse_standing is
  'What had not ended by minute, as one of the relays counted it. Rows older than 8 days are removed.';

revoke all on relay.pulse_standing from public;
