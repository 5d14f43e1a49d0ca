-- What each running relay says about itself, for people: relay doctor, relay status and the message centre show it.

-- step: lock relay.instance
alter table relay.instance add column report jsonb;
alter table relay.instance add column reported_at timestamptz;
comment on column relay.instance.report is 'How the relay stands: its settings without secrets, its stream, its circuits, and what it holds back';
