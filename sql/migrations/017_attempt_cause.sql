-- Why each attempt failed, and not the last one alone: a delivery may fail for several causes, one after the other.

-- step: lock relay.attempt
alter table relay.attempt add column cause text;
comment on column relay.attempt.cause is
  'why it failed: a heading of docs/troubleshooting.md, or a code. Null: it did not fail, or before this column';
