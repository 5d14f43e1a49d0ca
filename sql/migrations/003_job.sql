-- Jobs: what a person asked for and a relay does in the background, with a result for each
-- message.

create table relay.job (
  id          uuid primary key default relay.new_id(),
  kind        text not null,
  filter      jsonb not null, -- which messages, as they stood when the job was made
  rate        double precision, -- messages per second; null: no limit
  status      text not null default 'running',
  total       bigint not null, -- counted when it was made; what it came to, once it is done
  done        bigint not null default 0,
  failed      bigint not null default 0,
  last_id     uuid, -- looked at last: the ids go down; null: none yet
  searched    boolean not null default false, -- all messages were looked at
  error       text,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  finished_at timestamptz,
  constraint job_kind check (kind in ('replay', 'retry', 'cancel')),
  constraint job_status check (status in ('running', 'stopped', 'done', 'failed')),
  constraint job_rate check (rate > 0)
);

comment on table relay.job is
  'Work that a person asked for. The relay that owns shard 0 does it, a batch and its progress in one transaction.';

create index job_running on relay.job (created_at) where status = 'running';
create index job_ended on relay.job (updated_at) where status <> 'running';

create table relay.job_result (
  job_id     uuid not null,
  message_id uuid not null,
  ok         boolean not null,
  result     text not null,
  tries      integer not null default 1,
  updated_at timestamptz not null default now(),
  primary key (job_id, message_id)
);

-- Messages whose rows somebody else held: they are tried again.
create index job_result_locked on relay.job_result (job_id, message_id) where result = 'locked';
