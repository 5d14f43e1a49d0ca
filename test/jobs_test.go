package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"relay/test/harness"
)

// job is what relay jobs show --json prints.
type job struct {
	ID, Kind, Status    string
	Total, Done, Failed int
}

// cli runs a command on the system's database that must succeed, and returns what it prints.
func (s *system) cli(t testing.TB, args ...string) string {
	t.Helper()
	code, out, errs := run(t, "", args, "RELAY_DATABASE_URL="+s.db.URL)
	if code != 0 {
		t.Fatalf("%v: code %d, %q, %q", args, code, out, errs)
	}
	return out
}

// job reads what a command prints of a job.
func (s *system) job(t testing.TB, args ...string) (j job) {
	t.Helper()
	out := s.cli(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &j); err != nil {
		t.Fatalf("%v: %q: %v", args, out, err)
	}
	return j
}

// ended waits until a job runs no more.
func (s *system) ended(t testing.TB, id string) (j job) {
	t.Helper()
	harness.Eventually(t, 60*time.Second, "the job has ended", func() bool {
		j = s.job(t, "jobs", "show", id)
		return j.Status != "running"
	})
	return j
}

// past inserts messages and waits until they are done.
func (s *system) past(t testing.TB, n int) {
	t.Helper()
	s.exec(t, `insert into relay.outbox (topic, key) select case when n % 5 = 0 then 'stock.moved' else 'order.created' end,
		case when n % 2 = 0 then 'k' || n % 10 end from generate_series(1, $1::int) n`, n)
	harness.Eventually(t, 60*time.Second, "the past is done", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where status = 'done'") == strconv.Itoa(n)
	})
}

func TestAReplayIsStoppedResumedAndSurvivesAKill(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_LEASE_TTL=2s")
	others := newReceiver(t, nil)
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('early', '{#}', $1)", others.URL)
	s.past(t, 500)
	late := newReceiver(t, nil)
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('late', '{order.*}', $1)", late.URL)

	var preview struct{ Messages struct{ N int } }
	out := s.cli(t, "subscriptions", "replay", "late", "--since=1h", "--preview", "--json")
	if err := json.Unmarshal([]byte(out), &preview); err != nil || preview.Messages.N != 400 {
		t.Fatalf("preview %q: %v", out, err)
	}
	if n := s.text(t, "select count(*)::text from relay.job"); n != "0" {
		t.Errorf("a preview made %s jobs", n)
	}
	begun := time.Now()
	replay := s.job(t, "subscriptions", "replay", "late", "--since=1h", "--rate=100", "--yes")
	harness.Eventually(t, 30*time.Second, "some are replayed", func() bool { return late.distinct() >= 40 })
	stopped := s.job(t, "jobs", "stop", replay.ID)
	if stopped.Status != "stopped" || stopped.Done == 0 || stopped.Done >= 400 {
		t.Errorf("stopped: %+v", stopped)
	}
	s.settled(t, 20*time.Second)
	if n := late.distinct(); n != stopped.Done {
		t.Errorf("%d messages came, %d were replayed when the job was stopped", n, stopped.Done)
	}
	if now := s.job(t, "jobs", "show", replay.ID); now != stopped {
		t.Errorf("a stopped job goes on: %+v, then %+v", stopped, now)
	}
	s.job(t, "jobs", "resume", replay.ID)
	harness.Eventually(t, 30*time.Second, "it goes on", func() bool { return s.job(t, "jobs", "show", replay.ID).Done > stopped.Done+20 })
	s.relay.kill()
	if killed := s.job(t, "jobs", "show", replay.ID); killed.Status != "running" || killed.Done >= 400 {
		t.Errorf("the kill came too late: %+v", killed)
	}
	start(t, s.db, "RELAY_LEASE_TTL=2s", "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	if end := s.ended(t, replay.ID); end.Status != "done" || end.Total != 400 || end.Done != 400 || end.Failed != 0 {
		t.Errorf("ended: %+v", end)
	}
	if took := time.Since(begun); took < 3*time.Second {
		t.Errorf("400 messages at 100 a second took %s", took)
	}
	harness.Eventually(t, 30*time.Second, "all have arrived", func() bool { return late.distinct() == 400 })
	s.settled(t, 20*time.Second)
	if others.distinct() != 500 || others.duplicates() != 0 || s.receiver.distinct() != 0 {
		t.Errorf("others received %d messages, %d of them twice, the default destination %d", others.distinct(), others.duplicates(), s.receiver.distinct())
	}
	if out := s.cli(t, "jobs", "show", replay.ID, "--results"); strings.Count(out, "  replayed\n") != 400 {
		t.Errorf("%d results", strings.Count(out, "\n"))
	}
	if out := s.cli(t, "jobs", "list"); !strings.Contains(out, replay.ID) || !strings.Contains(out, "done, 400 of 400") {
		t.Errorf("jobs list:\n%s", out)
	}
	for _, what := range []string{"outstanding <> 0", "status <> 'done'", "finished_at is null"} {
		if n := s.text(t, "select count(*)::text from relay.outbox where "+what); n != "0" {
			t.Errorf("%s messages with %s", n, what)
		}
	}
}

func TestAReplayIsTakenOverAndSendsAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_LEASE_TTL=2s")
	again := newReceiver(t, nil)
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('again', '{order.*}', $1)", again.URL)
	s.past(t, 200)
	second := start(t, s.db, "RELAY_LEASE_TTL=2s", "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	harness.Eventually(t, 30*time.Second, "both own shards", func() bool { return s.relay.owned() == 32 && second.owned() == 32 })
	replay := s.job(t, "subscriptions", "replay", "again", "--rate=40", "--yes")
	harness.Eventually(t, 30*time.Second, "some are replayed", func() bool { return again.duplicates() >= 10 })
	if err := s.relay.stop(25 * time.Second); err != nil {
		t.Fatal(err)
	}
	if end := s.ended(t, replay.ID); end.Status != "done" || end.Done != 160 || end.Failed != 0 {
		t.Errorf("ended: %+v", end)
	}
	harness.Eventually(t, 30*time.Second, "each came again", func() bool { return again.duplicates() == 160 })
	s.settled(t, 20*time.Second)
	if again.distinct() != 160 || again.duplicates() != 160 {
		t.Errorf("%d messages, %d again", again.distinct(), again.duplicates())
	}
}

// The relay may not know the subscription yet when the first of its messages are due.
func TestAReplayToASubscriptionMadeAMomentAgo(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.past(t, 20)
	for i := range 10 {
		late := newReceiver(t, nil)
		name := fmt.Sprint("late", i)
		s.exec(t, `with made as (
			insert into relay.subscription (name, topics, target) values ($1, '{#}', $2)
		) insert into relay.job (kind, filter, total) values ('replay', jsonb_build_object('replay_to', $1::text, 'topics', array['#'], 'as_of', now()), 20)`, name, late.URL)
		harness.Eventually(t, 30*time.Second, "all have arrived", func() bool { return late.distinct() == 20 })
	}
}

// What is replayed neither waits for the present messages of its key nor holds them up.
func TestAReplayStandsOutsideTheOrder(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1h")
	var fails atomic.Bool
	endpoint := newReceiver(t, func(w http.ResponseWriter, r *http.Request) bool {
		if fails.Load() && r.Header.Get("ce-type") == "past" {
			w.WriteHeader(500)
			return false
		}
		return true
	})
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('sub', '{#}', $1)", endpoint.URL)
	past := s.send(t, "topic, key", "'past', 'k'")
	s.waitStatus(t, past, "done")
	fails.Store(true)
	s.cli(t, "subscriptions", "replay", "sub", "--topic=past", "--yes", "--wait")
	harness.Eventually(t, 20*time.Second, "the replay has failed", func() bool { return s.deliveries(t, past) == "sub handle_failed" })
	s.waitStatus(t, s.send(t, "topic, key", "'present', 'k'"), "done")
	fails.Store(false)
	s.cli(t, "messages", "retry", past)
	s.waitStatus(t, past, "done")
}

func TestWhatCannotBeReplayed(t *testing.T) {
	t.Parallel()
	s := bare(t)
	for _, name := range []string{"direct", "default", "nobody"} {
		code, _, errs := run(t, "", []string{"subscriptions", "replay", name, "--yes"}, "RELAY_DATABASE_URL="+s.db.URL)
		if code != 1 || !strings.Contains(errs, fmt.Sprintf("there is no subscription %q", name)) {
			t.Errorf("%s: code %d, %q", name, code, errs)
		}
	}
	const id = "01890000-0000-7000-8000-000000000001"
	for _, verb := range []string{"show", "stop", "resume"} {
		if code, _, errs := run(t, "", []string{"jobs", verb, id}, "RELAY_DATABASE_URL="+s.db.URL); code != 1 || !strings.Contains(errs, "there is no such job") {
			t.Errorf("%s: code %d, %q", verb, code, errs)
		}
	}
	if out := s.cli(t, "jobs", "list"); out != "no jobs\n" {
		t.Errorf("jobs list: %q", out)
	}
}

func TestDeadLettersOfOneSubscriberAreRetriedAndCancelled(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=20ms", "RELAY_MAX_ATTEMPTS=2")
	endpoint, works := switched(t)
	good := newReceiver(t, nil)
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('bad', '{#}', $1), ('good', '{#}', $2)", endpoint.URL, good.URL)
	ids := make([]string, 60)
	for i := range ids {
		ids[i] = s.send(t, "topic, payload", "$1, $2", fmt.Sprintf("t.%d", i%2), strconv.Itoa(i))
	}
	harness.Eventually(t, 30*time.Second, "all are dead", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where status = 'dead'") == "60"
	})
	payloads := s.text(t, "select string_agg(payload, ',' order by seq) from relay.outbox")
	dead := []string{"--status=dead", "--subscription=bad", "--error=ANSWERED 500"}
	if out := s.cli(t, append([]string{"messages", "list", "--limit=100"}, dead...)...); strings.Count(out, "\n") != 61 {
		t.Errorf("listed:\n%s", out)
	}
	if out := s.cli(t, "messages", "list", "--status=dead", "--subscription=good"); out != "no messages\n" {
		t.Errorf("dead at the one that has them all:\n%s", out)
	}
	if out := s.cli(t, append([]string{"messages", "retry", "--preview"}, dead...)...); out != "60 dead messages match\n" {
		t.Errorf("preview: %q", out)
	}
	works.Store(true)
	s.cli(t, "messages", "retry", ids[0], "--subscription=bad")
	s.waitStatus(t, ids[0], "done")
	retry := s.job(t, append([]string{"messages", "retry", "--topic=t.1", "--yes", "--wait"}, dead...)...)
	if retry.Status != "done" || retry.Total != 30 || retry.Done != 30 {
		t.Errorf("retry: %+v", retry)
	}
	harness.Eventually(t, 30*time.Second, "those are done", func() bool { return endpoint.distinct() == 31 })
	cancel := s.job(t, append([]string{"messages", "cancel", "--yes", "--wait"}, dead...)...)
	if cancel.Status != "done" || cancel.Total != 29 || cancel.Done != 29 {
		t.Errorf("cancel: %+v", cancel)
	}
	if out := s.cli(t, "jobs", "show", cancel.ID, "--results", "--json"); strings.Count(out, `"result":"cancelled"`) != 29 {
		t.Errorf("results of the cancel:\n%s", out)
	}
	s.settled(t, 20*time.Second)
	if endpoint.distinct() != 31 || endpoint.duplicates() != 0 || good.distinct() != 60 || good.duplicates() != 0 {
		t.Errorf("bad received %d (%d twice), good %d (%d twice)", endpoint.distinct(), endpoint.duplicates(), good.distinct(), good.duplicates())
	}
	if n := s.text(t, "select count(*)::text from relay.outbox where status <> 'done'"); n != "0" {
		t.Errorf("%s messages are not done, and the other subscriber has them all", n)
	}
	if now := s.text(t, "select string_agg(payload, ',' order by seq) from relay.outbox"); now != payloads {
		t.Error("payloads have changed")
	}
}

// TestAJobMakesWayForNewMessages: beside new messages a retry without a rate changes 100 messages a second.
func TestAJobMakesWayForNewMessages(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_MAX_ATTEMPTS=1")
	endpoint, works := switched(t)
	s.exec(t, "insert into relay.outbox (topic, destination) select 'order.created', $1 from generate_series(1, 400)", endpoint.URL)
	harness.Eventually(t, 60*time.Second, "the messages are dead", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where status = 'dead'") == "400"
	})
	works.Store(true)
	arriving, stop := context.WithCancel(t.Context())
	var group errgroup.Group
	group.Go(func() error {
		for tick := time.Tick(100 * time.Millisecond); ; {
			select {
			case <-arriving.Done():
				return nil
			case <-tick:
			}
			if _, err := s.app.Exec(t.Context(), "insert into relay.outbox (topic) values ('order.created')"); err != nil {
				return err
			}
		}
	})
	s.waitStatus(t, s.send(t, "topic", "'order.created'"), "done")
	begun := time.Now()
	id := s.job(t, "messages", "retry", "--status=dead", "--yes").ID
	if j := s.ended(t, id); j.Status != "done" || j.Done != 400 {
		t.Errorf("the job: %+v", j)
	}
	if took := time.Since(begun); took < 3*time.Second {
		t.Errorf("400 messages took %s beside new ones", took)
	}
	stop()
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}
