-- For which causes attempts failed, by minute.

-- step: lock relay.pulse_outcome
alter table relay.pulse_outcome add column causes jsonb;
comment on column relay.pulse_outcome.causes is
  'how many attempts failed, and deliveries died without one, for each cause as delivery.cause has it, or null for none';
