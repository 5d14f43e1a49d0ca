package test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"relay/test/harness"
)

// report is what relay status --json prints.
type report struct {
	Schema struct{ Version, Needed int }
	Relays []struct {
		Shards    int
		Streaming bool
	}
	Slot *struct {
		Exists bool
		Reader string
	}
	Messages struct {
		Pending, Delayed, Open, Dead, Rejected int
		Oldest                                 float64 `json:"oldest_pending_seconds"`
		Done, Cancelled                        *int
		Rows                                   *int `json:"rows_estimate"`
	}
	Waiting []struct {
		Subscription, Why string
		Count             int
	}
	Next *float64 `json:"next_due_in_seconds"`
	Dead []struct {
		Subscription string
		Count        int
	} `json:"dead_by_subscription"`
}

// report runs relay status in both forms and returns them.
func (s *system) report(t testing.TB, env ...string) (r report, text string) {
	t.Helper()
	env = append([]string{"RELAY_DATABASE_URL=" + s.db.URL, "RELAY_SLOT=" + s.db.Name}, env...)
	code, out, errs := run(t, "", []string{"status", "--json"}, env...)
	if err := json.Unmarshal([]byte(out), &r); code != 0 || errs != "" || err != nil {
		t.Fatalf("code %d, %q, %q: %v", code, out, errs, err)
	}
	code, text, errs = run(t, "", []string{"status"}, env...)
	if code != 0 || errs != "" {
		t.Fatalf("code %d, %q, %q", code, text, errs)
	}
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(line); n > 101 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
	return r, text
}

func TestStatusShowsHowAllStands(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1h")
	failing, _ := switched(t)
	open := s.send(t, "topic, destination", "'t', $1", failing.URL)
	done := s.send(t, "topic", "'t'")
	s.send(t, "topic, deliver_at", "'t', now() + interval '30 minutes'")
	s.waitStatus(t, open, "open")
	s.waitStatus(t, done, "done")
	rejected := s.send(t, "topic, destination", "'t', 'nobody'")
	s.waitStatus(t, rejected, "rejected")
	s.exec(t, `with o as (insert into relay.outbox (topic, status) values ('t', 'dead') returning id, shard, seq)
		insert into relay.delivery (message_id, subscription, target, status, circuit, shard, seq, due_at, last_error)
		select id, 'billing', 'x', 'dead', 'c', shard, seq, now(), 'answered 500' from o`)
	harness.Eventually(t, 20*time.Second, "the relay's sign of life says that it streams", func() bool {
		return s.text(t, "select bool_or(streaming)::text from relay.instance") == "true"
	})
	r, text := s.report(t)
	m := r.Messages
	if r.Schema.Version == 0 || r.Schema.Version != r.Schema.Needed || len(r.Relays) != 1 || r.Relays[0].Shards != 64 || !r.Relays[0].Streaming ||
		r.Slot == nil || !r.Slot.Exists || r.Slot.Reader == "" {
		t.Errorf("%+v", r)
	}
	if m.Pending != 0 || m.Delayed != 1 || m.Open != 1 || m.Dead != 1 || m.Rejected != 1 || m.Done == nil || *m.Done != 1 || *m.Cancelled != 0 || m.Rows != nil {
		t.Errorf("%+v", m)
	}
	if len(r.Waiting) != 1 || r.Waiting[0].Count != 1 || len(r.Dead) != 1 || r.Dead[0].Subscription != "billing" || r.Dead[0].Count != 1 {
		t.Errorf("waiting %+v, dead %+v", r.Waiting, r.Dead)
	}
	if r.Next == nil || *r.Next < 25*60 || *r.Next > 30*60 {
		t.Errorf("next due in %v", r.Next)
	}
	for _, want := range []string{": 64 of 64 shards, hears the stream", "is caught up; the server keeps ", "0 pending; 1 delayed, 1 open",
		"1 dead, 1 rejected, 1 done, 0 cancelled", "waiting    1 for direct (handle_failed): answered 500", "next due   in ", "1 of billing: answered 500"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Count(text, "\n") > 24 {
		t.Errorf("more than a screen:\n%s", text)
	}
}

func TestStatusNeedsNoRelay(t *testing.T) {
	t.Parallel()
	s := bare(t)
	s.exec(t, "insert into relay.outbox (topic, created_at) values ('t', now() - interval '1 hour')")
	s.exec(t, "insert into relay.outbox (topic, deliver_at) values ('t', now() - interval '5 minutes')")
	r, text := s.report(t)
	if len(r.Relays) != 0 || r.Slot == nil || r.Slot.Exists || r.Messages.Pending != 1 || r.Messages.Oldest < 3500 {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"none runs", "there is no ", "1 pending, the oldest for 1h0m", "overdue for 5m"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if r, text = s.report(t, "RELAY_CAPTURE=poll"); r.Slot != nil || strings.Contains(text, "slot") {
		t.Errorf("without a stream: %s", text)
	}
	if code, _, errs := run(t, "", []string{"status"}, "RELAY_DATABASE_URL="+s.db.AppURL); code != 1 || !strings.Contains(errs, "use the relay's own role") {
		t.Errorf("as the application: code %d, %q", code, errs)
	}
}

func TestStatusDoesNotCountALargeTable(t *testing.T) {
	t.Parallel()
	s := bare(t)
	s.exec(t, "insert into relay.outbox (topic, status) select 't', 'done' from generate_series(1, 101000)")
	harness.Eventually(t, 30*time.Second, "the statistics know", func() bool {
		return s.text(t, "select (pg_stat_get_live_tuples('relay.outbox'::regclass) > 100000)::text") == "true"
	})
	r, text := s.report(t)
	if r.Messages.Done != nil || r.Messages.Rows == nil || *r.Messages.Rows < 100_500 || !strings.Contains(text, "; about 101") {
		t.Errorf("%+v\n%s", r.Messages, text)
	}
}

// TestStatusIsWatched: relay status --watch shows each change, and ends well when the person has seen enough.
func TestStatusIsWatched(t *testing.T) {
	t.Parallel()
	s := bare(t)
	cmd := command(t, []string{"status", "--watch", "--json", "--every", "100ms"}, "RELAY_DATABASE_URL="+s.db.URL)
	var shown, errs logBuffer
	cmd.Stdout, cmd.Stderr = &shown, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := func() (looks, pending int) {
		var look report
		for line := range strings.Lines(shown.String()) {
			if json.Unmarshal([]byte(line), &look) == nil {
				looks++
			}
		}
		return looks, look.Messages.Pending
	}
	harness.Eventually(t, 30*time.Second, "it has looked twice", func() bool { looks, _ := last(); return looks > 1 })
	s.send(t, "topic", "'order.created'")
	harness.Eventually(t, 30*time.Second, "the message is shown", func() bool { _, pending := last(); return pending == 1 })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || errs.String() != "" {
		t.Errorf("it ended with %v, %q", err, errs.String())
	}
}
