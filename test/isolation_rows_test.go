package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// An application's table that referenced one message kept the relay from removing all others, for ever.
func TestARowThatCannotBeRemovedKeepsNoOther(t *testing.T) {
	t.Parallel()
	n := newNeighbour(t, "RELAY_RETENTION=1s")
	quiet := n.phase(t)
	n.exec(t, "create table public.invoice (message uuid references relay.outbox (id))")
	n.exec(t, "grant all on public.invoice to public")
	n.exec(t, "with one as (insert into relay.outbox (topic) values ('t') returning id) insert into public.invoice select id from one")
	kept := n.text(t, "select message::text from public.invoice")
	locked := n.send(t, "topic", "'t'")
	n.waitStatus(t, kept, "done")
	n.waitStatus(t, locked, "done")
	release := n.lock(t, "select 1 from relay.delivery where message_id = $1", locked)
	n.unharmed(t, "a row that cannot be removed", quiet)
	n.isolated(t, "remove", 2, "23503 (constraint invoice_message_fkey)", "another session has locked a row")
	harness.Eventually(t, 60*time.Second, "all others are removed", func() bool {
		return n.text(t, "select string_agg(id::text, ' ') from relay.outbox where id not in ($1, $2)", kept, locked) == ""
	})
	harness.Eventually(t, 20*time.Second, "the message tells of it", func() bool {
		return strings.Contains(n.text(t, "select last_error from relay.outbox where id = $1", kept), "it is kept beyond its retention: PostgreSQL refused it with SQLSTATE 23503")
	})
	release()
	n.exec(t, "drop table public.invoice")
	harness.Eventually(t, 120*time.Second, "they are removed when they can be", func() bool {
		return n.text(t, "select count(*)::text from relay.outbox") == "0"
	})
	n.empty(t)
}

// A job that could not change one of its messages stopped there.
func TestAJobGoesOnWhereItCannotChangeARow(t *testing.T) {
	t.Parallel()
	n := newNeighbour(t)
	quiet := n.phase(t)
	n.exec(t, "insert into relay.outbox (topic, deliver_at) select case when n % 100 = 50 then 'cursed-' || (array['42P01', '40001', 'sleep'])[n / 100 + 1] else 'later' end, now() + interval '1 day' from generate_series(1, 300) n")
	n.exec(t, cursing)
	n.exec(t, "create trigger curse before update on relay.outbox for each row execute function public.curse()")
	job := n.job(t, "messages", "cancel", "--status=pending", "--yes")
	n.unharmed(t, "a job that cannot change a row", quiet)
	if end := n.system.ended(t, job.ID); end.Status != "done" || end.Done != 297 || end.Failed != 3 {
		t.Errorf("ended: %+v", end)
	}
	results := n.cli(t, "jobs", "show", job.ID, "--failed")
	for _, why := range []string{"refused: PostgreSQL refused it with SQLSTATE 42P01 in function public.curse", "SQLSTATE 40001", "did not finish it in time in function public.curse"} {
		if !strings.Contains(results, why) {
			t.Errorf("no result says %q:\n%s", why, results)
		}
	}
	n.isolated(t, "job", 3, "42P01", "40001", "57014")
}

// A message whose payload the database cannot read, of a damaged disk for example, kept the rest of its batch from
// being read.
func TestARowThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	n := newNeighbour(t)
	quiet := n.phase(t)
	n.exec(t, "create extension pg_surgery")
	for i, key := range []*string{nil, text("damaged")} {
		n.send(t, "topic, key, deliver_at, content_type, payload", "'healthy', $1, now() + interval '3 seconds', 'text/plain', (select string_agg(md5(random()::text), '') from generate_series(1, 600))", key)
		n.damage(t)
		n.exec(t, "insert into relay.outbox (topic, deliver_at) select 'beside', now() + interval '1 second' from generate_series(1, 20)")
		n.isolated(t, "read", i+1, "XX001")
	}
	n.unharmed(t, "a row that cannot be read", quiet)
	harness.Eventually(t, 20*time.Second, "all others are done", func() bool {
		return n.text(t, "select count(*)::text from relay.outbox where status <> 'done'") == "2"
	})
	n.exec(t, "delete from relay.outbox where status = 'pending'")
	harness.Eventually(t, 90*time.Second, "nothing is in quarantine", func() bool {
		return n.relay.metric("relay_reconcile_quarantined_rows") == 0
	})
}

// damage loses a part of the payload of the last message, as a damaged disk does.
func (s *system) damage(t testing.TB) {
	t.Helper()
	toast := s.text(t, "select reltoastrelid::regclass::text from pg_class where oid = 'relay.outbox'::regclass")
	at := s.text(t, fmt.Sprintf("select max(ctid)::text from %s where chunk_seq = 1", toast))
	s.exec(t, fmt.Sprintf("select heap_force_kill('%s'::regclass, array['%s']::tid[])", toast, at))
}
