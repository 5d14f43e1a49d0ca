package sql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay"
)

// subscribe makes subscriptions that receive all topics.
func subscribe(t *testing.T, db *pgxpool.Pool, onDead string, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := db.Exec(t.Context(), "insert into relay.subscription (name, topics, target, on_dead) values ($1, '{a.#}', 'http://h/', $2)", name, onDead)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// withDeliveries adds a message that was taken up, with deliveries given as words of
// subscription and status.
func withDeliveries(t *testing.T, db *pgxpool.Pool, topic, status string, deliveries ...string) relay.ID {
	t.Helper()
	id := insert(t, db, "topic, key, status, outstanding, finished_at", `$1, 'k', $2::text::relay.message_status, $3::int,
		case when $2 <> 'open' then now() - interval '1 hour' end`, topic, status, strings.Count(strings.Join(deliveries, ","), "waiting"))
	for _, d := range deliveries {
		subscription, state, _ := strings.Cut(d, " ")
		_, err := db.Exec(t.Context(), `insert into relay.delivery (message_id, subscription, target, circuit, status, attempts, shard, seq, key, due_at, updated_at, last_error)
			select id, $2, 'old', $2, $3::text::relay.delivery_status, 5, shard, seq, key, now(), now() - interval '1 hour', 'why' from relay.outbox where id = $1`,
			[16]byte(id), subscription, state)
		if err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// states says how messages and their deliveries stand; one that is due at once and has all
// of its attempts is marked by an exclamation mark, one outside of its key's order by a star.
func states(t *testing.T, db *pgxpool.Pool, ids ...relay.ID) string {
	t.Helper()
	var out string
	err := db.QueryRow(t.Context(), `select string_agg(concat_ws(' ', o.status, o.outstanding, (
			select string_agg(concat(d.subscription, ' ', d.status, case when d.next_attempt_at <= clock_timestamp() and attempts = 0 then '!' end, case when d.key is null then '*' end), ', ' order by d.subscription)
			from relay.delivery d where d.message_id = o.id)), ' | ' order by o.seq)
		from relay.outbox o where id = any ($1)`, uuids(ids)).Scan(&out)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// finish runs a job to its end, a few messages at a time.
func finish(t *testing.T, s *Store, lease Lease, id relay.ID, most int) Job {
	t.Helper()
	for range 1000 {
		job, err := s.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if job.Status != JobRunning {
			return job
		}
		if step, err := s.StepJob(t.Context(), lease, job, most); err != nil || !step.Moved {
			t.Fatalf("%+v: %v", step, err)
		}
	}
	t.Fatal("the job does not end")
	return Job{}
}

// started plans and starts a job.
func started(t *testing.T, s *Store, kind JobKind, f MessageFilter) Job {
	t.Helper()
	job, err := s.PlanJob(t.Context(), kind, f, 0, 0)
	if err == nil {
		_, err = s.StartJob(t.Context(), &job, 0, Once{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func TestAReplayMakesOrReopensDeliveries(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	subscribe(t, admin, "continue", "sub", "other")
	ids := []relay.ID{
		withDeliveries(t, admin, "a.new", "done", "other handled"),
		withDeliveries(t, admin, "a.again", "done", "other handled", "sub handled"),
		withDeliveries(t, admin, "a.dead", "dead", "other handled", "sub dead"),
		withDeliveries(t, admin, "a.open", "open", "other waiting"),
		withDeliveries(t, admin, "a.way", "open", "sub waiting"),
		withDeliveries(t, admin, "a", "rejected"),
		withDeliveries(t, admin, "a.off", "cancelled", "sub cancelled"),
		insert(t, admin, "topic", "'a.pending'"),
		withDeliveries(t, admin, "b", "done", "other handled"),
		insert(t, admin, "topic, destination, status", "'a', 'http://own/', 'done'"),
		insert(t, admin, "topic, destination, status", "'b', 'sub', 'done'"),
	}
	job := started(t, s, JobReplay, MessageFilter{ReplayTo: "sub"})
	after := withDeliveries(t, admin, "a.later", "done", "sub handled")
	if end := finish(t, s, lease, job.ID, 2); job.Total != 7 || end.Total != 7 || end.Done != 7 || end.Failed != 0 || end.FinishedAt == nil {
		t.Errorf("planned %d, ended %+v", job.Total, end)
	}
	want := []string{
		"open 1 other handled, sub waiting!*",
		"open 1 other handled, sub waiting!*",
		"open 1 other handled, sub waiting!*",
		"open 2 other waiting, sub waiting!*",
		"open 1 sub waiting",
		"open 1 sub waiting!*",
		"cancelled 0 sub cancelled",
		"pending 0",
		"done 0 other handled",
		"done 0",
		"open 1 sub waiting!*",
		"done 0 sub handled",
	}
	if got := strings.Split(states(t, admin, append(ids, after)...), " | "); !slices.Equal(got, want) {
		t.Errorf("left\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	results, err := s.JobResults(t.Context(), job.ID, relay.ID{}, false, 100)
	effects := map[Effect]int{}
	for _, r := range results {
		effects[r.Effect]++
	}
	if err != nil || effects[EffectReplayed] != 6 || effects[EffectUnderWay] != 1 {
		t.Errorf("results %v: %v", effects, err)
	}
	if again := started(t, s, JobReplay, MessageFilter{ReplayTo: "sub", Topic: "a.*", Until: time.Now().Add(-time.Minute)}); again.Total != 0 {
		t.Errorf("%d messages of a time without any", again.Total)
	}
}

func TestARetrySendsNothingAgainThatEndedWell(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	subscribe(t, admin, "continue", "x")
	subscribe(t, admin, "block", "y")
	make := func() []relay.ID {
		return []relay.ID{
			withDeliveries(t, admin, "a", "dead", "x dead", "y handled"),
			withDeliveries(t, admin, "a", "dead", "x dead", "y dead"),
			withDeliveries(t, admin, "a", "dead", "x handled", "y dead"),
			withDeliveries(t, admin, "a", "open", "x dead", "y waiting"),
			withDeliveries(t, admin, "a", "cancelled", "x cancelled", "y handled"),
			withDeliveries(t, admin, "a", "done", "x handled"),
			insert(t, admin, "topic", "'a'"),
		}
	}
	all := []relay.MessageStatus{"open", "dead", "rejected", "cancelled"}
	for _, tt := range []struct {
		name string
		act  action
		want string
		says []Effect
	}{
		{"all", retryAll(all),
			"open 1 x waiting!*, y handled | pending 0 x dead, y dead | open 1 x handled, y waiting! | open 1 x dead, y waiting | open 1 x waiting!*, y handled | done 0 x handled | pending 0",
			[]Effect{EffectRetried, EffectRetried, EffectRetried, EffectNotEnded, EffectRetried, EffectEndedWell, EffectNotEnded}},
		{"one subscriber", retryFor("x", false),
			"open 1 x waiting!*, y handled | open 1 x waiting!*, y dead | dead 0 x handled, y dead | open 2 x waiting!*, y waiting | open 1 x waiting!*, y handled | done 0 x handled | pending 0",
			[]Effect{EffectRetried, EffectRetried, EffectNoDelivery, EffectRetried, EffectRetried, EffectNoDelivery, EffectNotEnded}},
		{"one subscriber with force", retryFor("x", true),
			"open 1 x waiting!*, y handled | open 1 x waiting!*, y dead | open 1 x waiting!*, y dead | open 2 x waiting!*, y waiting | open 1 x waiting!*, y handled | open 1 x waiting!* | pending 0",
			[]Effect{EffectRetried, EffectRetried, EffectRetried, EffectRetried, EffectRetried, EffectRetried, EffectNotEnded}},
		{"cancel for one subscriber", cancelFor("y"),
			"dead 0 x dead, y handled | dead 0 x dead, y cancelled | done 0 x handled, y cancelled | dead 0 x dead, y cancelled | cancelled 0 x cancelled, y handled | done 0 x handled | pending 0",
			[]Effect{EffectNoDelivery, EffectCancelled, EffectCancelled, EffectCancelled, EffectAlreadyCancelled, EffectNoDelivery, EffectNotEnded}},
	} {
		ids := make()
		effects, err := s.change(t.Context(), tt.name, AuditEntry{}, ids, tt.act)
		if got := states(t, admin, ids...); err != nil || got != tt.want || !slices.Equal(effects, tt.says) {
			t.Errorf("%s: %v\nleft %s\nwant %s\n%q", tt.name, err, got, tt.want, effects)
		}
	}
}

func TestAJobIsFencedAndDoesNothingTwice(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	for range 4 {
		withDeliveries(t, admin, "a", "dead", "x dead")
	}
	job := started(t, s, JobCancel, MessageFilter{Status: Statuses{"dead"}})
	stale := Lease{Owner: lease.Owner, Epochs: map[int16]int64{JobShard: lease.Epochs[JobShard] - 1}}
	if step, err := s.StepJob(t.Context(), stale, job, 2); err != nil || step.Moved {
		t.Errorf("under a lease that is over: %+v: %v", step, err)
	}
	if step, err := s.StepJob(t.Context(), lease, job, 2); err != nil || step.Changed != 2 || step.Ended {
		t.Errorf("first step: %+v: %v", step, err)
	}
	if step, err := s.StepJob(t.Context(), lease, job, 2); err != nil || step.Moved {
		t.Errorf("the same step again: %+v: %v", step, err)
	}
	if err := s.StopJob(t.Context(), job.ID); err != nil {
		t.Error(err)
	}
	stopped, err := s.Job(t.Context(), job.ID)
	if step, stepErr := s.StepJob(t.Context(), lease, stopped, 2); err != nil || stepErr != nil || step.Moved {
		t.Errorf("a stopped job: %+v: %v, %v", step, err, stepErr)
	}
	if err := s.StopJob(t.Context(), job.ID); err == nil || !strings.Contains(err.Error(), ErrNoJob.Error()) {
		t.Errorf("stopping it again: %v", err)
	}
	if err := s.ResumeJob(t.Context(), job.ID); err != nil {
		t.Error(err)
	}
	if end := finish(t, s, lease, job.ID, 3); end.Done != 4 || end.Failed != 0 || end.Total != 4 {
		t.Errorf("%+v", end)
	}
}

func TestAJobTriesAgainWhatSomebodyHolds(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	held, kept, free := withDeliveries(t, admin, "a", "dead"), withDeliveries(t, admin, "a", "dead"), withDeliveries(t, admin, "a", "dead")
	hold := func(id relay.ID) (release func()) {
		tx, err := admin.Begin(t.Context())
		if err == nil {
			_, err = tx.Exec(t.Context(), "select from relay.outbox where id = $1 for update", [16]byte(id))
		}
		if err != nil {
			t.Fatal(err)
		}
		return func() { tx.Rollback(context.Background()) }
	}
	release, never := hold(held), hold(kept)
	defer never()
	job := started(t, s, JobRetry, MessageFilter{Status: Statuses{"dead"}})
	step, err := s.StepJob(t.Context(), lease, job, 10)
	if err != nil || step.Changed != 3 || step.Locked != 2 || step.Ended || len(step.Pending) != 1 || step.Pending[0] != (relay.Ring{ID: free, Key: "k"}) {
		t.Errorf("first step: %+v: %v", step, err)
	}
	release()
	if end := finish(t, s, lease, job.ID, 10); end.Done != 2 || end.Failed != 1 || end.Total != 3 || end.Status != JobDone {
		t.Errorf("%+v", end)
	}
	failed, err := s.JobResults(t.Context(), job.ID, relay.ID{}, true, 10)
	if err != nil || len(failed) != 1 || failed[0].Message != kept || failed[0].Effect != EffectLocked {
		t.Errorf("failed: %+v: %v", failed, err)
	}
}

func TestAReplayFailsWithItsSubscriptionAndOldJobsAreRemoved(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	subscribe(t, admin, "continue", "sub")
	for range 3 {
		withDeliveries(t, admin, "a", "dead", "sub dead")
	}
	ended := started(t, s, JobCancel, MessageFilter{Status: Statuses{"dead"}, Subscription: "sub", Error: "WHY"})
	finish(t, s, lease, ended.ID, 10)
	withDeliveries(t, admin, "a", "done")
	replay := started(t, s, JobReplay, MessageFilter{ReplayTo: "sub"})
	if _, err := admin.Exec(t.Context(), "delete from relay.subscription"); err != nil {
		t.Fatal(err)
	}
	if end := finish(t, s, lease, replay.ID, 10); end.Status != JobFailed || !strings.Contains(end.Error, `no subscription "sub"`) {
		t.Errorf("%+v", end)
	}
	running := started(t, s, JobCancel, MessageFilter{Status: Statuses{"dead"}})
	if n, err := s.RetainJobs(t.Context(), time.Hour, 10); n != 0 || err != nil {
		t.Errorf("removed %d results of today: %v", n, err)
	}
	if _, err := admin.Exec(t.Context(), "update relay.job set updated_at = now() - interval '2 hours'"); err != nil {
		t.Fatal(err)
	}
	var removed []int
	for range 3 {
		n, err := s.RetainJobs(t.Context(), time.Hour, 2)
		if err != nil {
			t.Fatal(err)
		}
		removed = append(removed, n)
	}
	left, err := s.Jobs(t.Context(), "", 10)
	if fmt.Sprint(removed) != "[2 1 0]" || err != nil || len(left.Jobs) != 1 || left.Jobs[0].ID != running.ID {
		t.Errorf("removed %v, left %+v: %v", removed, left, err)
	}
	for kind, f := range map[JobKind]MessageFilter{JobRetry: {Status: Statuses{"pending"}}, JobCancel: {Status: Statuses{"done"}}, JobReplay: {}, "": {}} {
		if _, err := s.PlanJob(t.Context(), kind, f, 0, 0); err == nil {
			t.Errorf("a %s of %+v is planned", kind, f)
		}
	}
}

// A message that a person has sent again stands outside the order of its key, unless its death
// holds the key; either way it is found by it.
func TestAMessageSentAgainStandsOutsideTheOrder(t *testing.T) {
	t.Parallel()
	for onDead, inOrder := range map[string]bool{"continue": false, "block": true} {
		t.Run(onDead, func(t *testing.T) {
			t.Parallel()
			testSentAgain(t, onDead, inOrder)
		})
	}
}

func testSentAgain(t *testing.T, onDead string, inOrder bool) {
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	subscribe(t, admin, onDead, "sub")
	id := withDeliveries(t, admin, "a", "dead", "sub dead")
	if effects, err := s.RetryMessages(t.Context(), []relay.ID{id}, []relay.MessageStatus{relay.MessageDead}); err != nil || effects[0] != EffectRetried {
		t.Fatalf("%v: %v", effects, err)
	}
	key := Key{Shard: relay.ShardOf(id, "k"), Key: "k", Most: 10}
	_, found, err := s.ReadKeys(t.Context(), []Key{key}, Limits{MaxPayload: 1 << 20, Budget: 1 << 20}, nil, 1)
	if err != nil || len(found[0].Rows) != 1 || found[0].Rows[0].Unordered == inOrder {
		t.Fatalf("read %+v: %v", found, err)
	}
	change := Change{Delivery: relay.DeliveryID{Message: id, Subscription: "sub"}, Shard: relay.ShardOf(id, "k"), Taking: true,
		MessageStatus: relay.MessageOpen, Outstanding: 1, Status: relay.DeliveryWaiting, Reason: relay.ReasonPaused, NextAttempt: -1}
	if written, err := s.WriteTaken(t.Context(), lease, []Change{change}); err != nil || len(written) != 1 {
		t.Fatalf("wrote %v: %v", written, err)
	}
	_, found, err = s.ReadKeys(t.Context(), []Key{key}, Limits{MaxPayload: 1 << 20, Budget: 1 << 20}, nil, 1)
	if err != nil || (len(found[0].Waiting) == 1) != inOrder {
		t.Errorf("what waits for its turn is %+v: %v", found, err)
	}
	if found := find(t, s, MessageFilter{Key: "k"}); !slices.Equal(found, []relay.ID{id}) {
		t.Errorf("found by its key: %v", found)
	}
}

// A target is what relay.ParseTarget makes of it, spaces and capitals included.
func TestWhatLeadsOverHTTPIsSeenHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	for name, target := range map[string]string{"a": " HTTP://h/", "b": "https://h/", "c": "amqp:/httpd", "d": "http:queue"} {
		if _, err := admin.Exec(t.Context(), "insert into relay.subscription (name, topics, target, broadcast, ack) values ($1, '{t}', $2, true, 'consumer')", name, target); err != nil {
			t.Fatal(err)
		}
		err := s.planReplay(t.Context(), &MessageFilter{ReplayTo: name})
		if http := name == "a" || name == "b"; http != (err != nil) {
			t.Errorf("a replay of a broadcast to %q: %v", target, err)
		}
	}
	examiner, err := Examine(t.Context(), db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer examiner.Conn.Close(context.WithoutCancel(t.Context()))
	if names, err := examiner.Acknowledging(t.Context(), relay.Target.Spreads); err != nil || !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("%v acknowledge over HTTP: %v", names, err)
	}
}
