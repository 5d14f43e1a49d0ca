package sql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"relay"
)

func TestWhatAPersonDoesLeavesAnEntry(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	by := s.By(Actor{Name: "anna\x00", Role: "operator", Address: "10.0.0.1", Reason: "as asked"})
	subscribe(t, admin, "block", "sub")
	dead, open := withDeliveries(t, admin, "a.b", "dead", "sub dead"), withDeliveries(t, admin, "a.b", "open", "sub waiting")
	change := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, err := by.RetryMessages(t.Context(), []relay.ID{dead, open}, []relay.MessageStatus{"dead"})
	change("retry", err)
	_, err = by.CancelDeliveries(t.Context(), []relay.ID{open}, "sub")
	change("cancel", err)
	copied, err := by.CopyMessage(t.Context(), dead, "")
	change("copy", err)
	_, err = by.SetSubscription(t.Context(), "sub", []byte(`{"paused": true, "secrets": ["whsec_c2VjcmV0"]}`), false)
	change("set", err)
	change("delete", by.DeleteSubscription(t.Context(), "sub"))
	job, err := by.PlanJob(t.Context(), JobRetry, MessageFilter{Status: Statuses{"dead"}}, 0, 0)
	change("plan", err)
	_, err = by.StartJob(t.Context(), &job, time.Hour, Once{})
	change("start", err)
	change("rate", by.SetJobRate(t.Context(), job.ID, 5))
	change("stop", by.StopJob(t.Context(), job.ID))
	change("note", by.Note(t.Context(), AuditEntry{Action: "session.refused", Kind: AuditSession}))
	if _, err := s.RetryMessages(t.Context(), []relay.ID{dead}, []relay.MessageStatus{"dead"}); err != nil {
		t.Fatal(err)
	}
	page, err := s.Audit(t.Context(), AuditFilter{}, "", 100)
	change("read", err)
	var got []string
	for _, e := range slices.Backward(page.Entries) {
		if e.Actor != (Actor{Name: "anna", Role: "operator", Address: "10.0.0.1", Reason: "as asked"}) || strings.Contains(string(e.Details), "c2Vj") {
			t.Errorf("%+v %s", e, e.Details)
		}
		got = append(got, fmt.Sprint(e.Action, " ", e.Object, " ", e.Result))
	}
	want := []string{
		fmt.Sprint("message.retry ", dead, " retried"), fmt.Sprint("message.retry ", open, " not ended"), fmt.Sprint("delivery.cancel ", open, " cancelled"),
		fmt.Sprint("message.copy ", dead, " ", copied), "subscription.set sub ", "subscription.delete sub ", fmt.Sprint("job.start ", job.ID, " retry"),
		fmt.Sprint("job.rate ", job.ID, " 5"), fmt.Sprint("job.stop ", job.ID, " "), "session.refused  ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	first, err := s.Audit(t.Context(), AuditFilter{Action: "message.retry"}, "", 1)
	second, err2 := s.Audit(t.Context(), AuditFilter{Action: "message.retry"}, first.Next, 1)
	if err = errors.Join(err, err2); err != nil || len(first.Entries) != 1 || len(second.Entries) != 1 || second.Next != "" || first.Entries[0].ID <= second.Entries[0].ID {
		t.Errorf("%+v, %+v: %v", first, second, err)
	}
	trace, err := s.TraceMessage(t.Context(), dead)
	if err != nil || len(trace.Audit) != 2 || !slices.Equal(trace.Copies, []relay.ID{copied}) || trace.Before != nil || trace.After == nil || trace.After.ID != open {
		t.Errorf("%+v: %v", trace, err)
	}
	if n, err := s.RetainAudit(t.Context(), 0, 3); n != 3 || err != nil {
		t.Errorf("removed %d: %v", n, err)
	}
}

func TestARefusedChangeLeavesNoEntry(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	by := s.By(Actor{Name: "anna", Role: "operator"})
	_, copyErr := by.CopyMessage(t.Context(), relay.NewID(), "")
	_, setErr := by.SetSubscription(t.Context(), "none", []byte(`{"paused": true}`), false)
	if !errors.Is(copyErr, ErrGone) || !errors.Is(setErr, ErrNoSubscription) {
		t.Errorf("%v; %v", copyErr, setErr)
	}
	if page, err := s.Audit(t.Context(), AuditFilter{}, "", 10); err != nil || len(page.Entries) != 0 {
		t.Errorf("%+v: %v", page, err)
	}
}

// A double click, or a request that is repeated after its answer was lost, makes one message and one job.
func TestARequestWithAKeyIsDoneOnce(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	once := Once{Key: "abc", Digest: [32]byte{1}}
	var mu sync.Mutex
	made, repeats := map[relay.ID]bool{}, 0
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			id, repeated, err := s.SendOnce(context.Background(), Draft{Topic: "t"}, once)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if made[id] = true; repeated {
				repeats++
			}
		})
	}
	group.Wait()
	var messages int
	err := db.Admin(t).QueryRow(t.Context(), "select count(*) from relay.outbox").Scan(&messages)
	if err != nil || len(made) != 1 || repeats != 7 || messages != 1 {
		t.Errorf("%d ids, %d repeats, %d messages: %v", len(made), repeats, messages, err)
	}
	if _, _, err := s.SendOnce(t.Context(), Draft{Topic: "other"}, Once{Key: "abc", Digest: [32]byte{2}}); !errors.Is(err, ErrOtherRequest) {
		t.Errorf("another request with the key: %v", err)
	}
	job, err := s.PlanJob(t.Context(), JobRetry, MessageFilter{Status: Statuses{"dead"}}, 0, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	second := job
	if repeated, err := s.StartJob(t.Context(), &job, 0, once); repeated || err != nil {
		t.Errorf("first: %v, %v", repeated, err)
	}
	if repeated, err := s.StartJob(t.Context(), &second, 0, once); !repeated || err != nil || second.ID != job.ID {
		t.Errorf("second: %v, %s, want %s: %v", repeated, second.ID, job.ID, err)
	}
	if n, err := s.RetainOnce(t.Context(), 0, 10); n != 2 || err != nil {
		t.Errorf("forgot %d keys: %v", n, err)
	}
}

func TestAJobWaitsForItsStartAndCountsOnTheWay(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	lease := own(t, s)
	for range 5 {
		withDeliveries(t, db.Admin(t), "a", "dead", "x dead")
	}
	job, err := s.planJob(t.Context(), JobCancel, MessageFilter{Status: Statuses{"dead"}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.StartJob(t.Context(), &job, time.Hour, Once{}); err != nil {
		t.Fatal(err)
	}
	if running, err := s.RunningJobs(t.Context(), 10); err != nil || len(running) != 0 || job.StartAt == nil {
		t.Errorf("%+v runs before its time: %v", running, err)
	}
	recent := func(when string) {
		t.Helper()
		if jobs, err := s.RecentJobs(t.Context(), 10); err != nil || len(jobs) != 1 || jobs[0].ID != job.ID {
			t.Errorf("recent jobs %s: %+v, %v", when, jobs, err)
		}
	}
	recent("before it begins")
	step, err := s.StepJob(t.Context(), lease, job, 2)
	if err != nil || step.Changed != 2 {
		t.Fatalf("%+v: %v", step, err)
	}
	if half, err := s.Job(t.Context(), job.ID); err != nil || half.Total != 2 || half.Counted {
		t.Errorf("half-way: %+v: %v", half, err)
	}
	if end := finish(t, s, lease, job.ID, 2); end.Total != 5 || end.Done != 5 || !end.Counted {
		t.Errorf("%+v", end)
	}
	recent("after its end")
}

func TestAPersonAcknowledgesForAConsumer(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	subscribe(t, admin, "block", "sub", "other")
	ids := []relay.ID{
		withDeliveries(t, admin, "a", "open", "sub awaiting_ack"),
		withDeliveries(t, admin, "a", "open", "sub awaiting_ack", "other waiting"),
		withDeliveries(t, admin, "a", "dead", "sub dead", "other dead"),
		withDeliveries(t, admin, "a", "dead", "sub dead", "other handled"),
		withDeliveries(t, admin, "a", "open", "sub waiting"), // never accepted
		withDeliveries(t, admin, "a", "done", "sub handled"),
		insert(t, admin, "topic", "'a'"),
		relay.NewID(),
	}
	if _, err := admin.Exec(t.Context(), "update relay.delivery set delivered_at = now() where subscription = 'sub' and message_id <> $1", [16]byte(ids[4])); err != nil {
		t.Fatal(err)
	}
	effects, err := s.AcknowledgeDeliveries(t.Context(), ids, "sub")
	want := []Effect{EffectAcknowledged, EffectAcknowledged, EffectAcknowledged, EffectAcknowledged, EffectNoDelivery, EffectNoDelivery, EffectNotEnded, EffectNotFound}
	if err != nil || !slices.Equal(effects, want) {
		t.Errorf("%q, want %q: %v", effects, want, err)
	}
	const after = "done 0 sub handled | open 1 other waiting, sub handled | dead 0 other dead, sub handled | done 0 other handled, sub handled | " +
		"open 1 sub waiting | done 0 sub handled | pending 0"
	if got := states(t, admin, ids...); got != after {
		t.Errorf("left %s\nwant %s", got, after)
	}
}

func TestAChangeOfAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	subscribe(t, db.Admin(t), "continue", "sub")
	version := func() string {
		list, err := s.ListSettings(t.Context(), "sub")
		if err != nil || len(list) != 1 || list[0].Version == "" {
			t.Fatalf("%+v: %v", list, err)
		}
		return list[0].Version
	}
	first := version()
	if _, err := s.SetSubscriptionAt(t.Context(), "sub", []byte(`{"paused": true}`), false, first); err != nil {
		t.Error(err)
	}
	if _, err := s.SetSubscriptionAt(t.Context(), "sub", []byte(`{"paused": false}`), false, first); !errors.Is(err, ErrVersion) {
		t.Errorf("over another person's change: %v", err)
	}
	if err := s.DeleteSubscriptionAt(t.Context(), "sub", first); !errors.Is(err, ErrVersion) {
		t.Errorf("a deletion over another person's change: %v", err)
	}
	second := version()
	if err := s.DeleteSubscriptionAt(t.Context(), "sub", second); err != nil || second == first {
		t.Errorf("version %s after %s: %v", second, first, err)
	}
	if _, err := s.SetSubscriptionAt(t.Context(), "sub", []byte(`{"paused": true}`), false, second); !errors.Is(err, ErrNoSubscription) {
		t.Errorf("of one that is gone: %v", err)
	}
	subscribe(t, db.Admin(t), "continue", "sub")
	if again := version(); again == first {
		t.Errorf("one that was made anew has the version %s of the former", again)
	}
}

func TestFailuresAreGroupedBySubscriberAndCause(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	var dead []relay.ID
	for i := range 6 {
		dead = append(dead, withDeliveries(t, admin, "a", "dead", "x dead", "y handled"))
		_, err := admin.Exec(t.Context(), "update relay.delivery set cause = nullif($2, ''), last_error = $3 where message_id = $1 and subscription = 'x'", [16]byte(dead[i]),
			[]string{"timeout", "http 500", ""}[min(i/2, 2)], fmt.Sprint("error ", i))
		if err != nil {
			t.Fatal(err)
		}
	}
	withDeliveries(t, admin, "a", "open", "x push_failed", "y handle_failed", "z waiting")
	withDeliveries(t, admin, "a", "rejected")
	groups, err := s.DeadGroups(t.Context())
	var got []string
	for _, g := range groups.Groups {
		got = append(got, fmt.Sprint(g.Subscription, " ", g.Cause, " ", g.Count, " ", g.Error, " ", slices.Index(dead, g.Oldest), slices.Index(dead, g.Newest)))
	}
	slices.Sort(got)
	if want := []string{"x  2 error 5 4 5", "x http 500 2 error 3 2 3", "x timeout 2 error 1 0 1"}; err != nil || !groups.Exact || !slices.Equal(got, want) {
		t.Errorf("%q, want %q: %v", got, want, err)
	}
	failing, err := s.FailingGroups(t.Context())
	rejected, err2 := s.RejectedGroups(t.Context())
	if err = errors.Join(err, err2); err != nil || len(failing.Groups) != 2 || failing.Groups[0].Count != 1 || len(rejected.Groups) != 1 || rejected.Groups[0].Count != 1 {
		t.Errorf("failing %+v, rejected %+v: %v", failing, rejected, err)
	}
	samples, err := s.DeadSamples(t.Context(), "x", "timeout", 10)
	if err != nil || len(samples) != 2 || samples[0].Error != "error 1" || samples[0].Message != dead[1] {
		t.Errorf("%+v: %v", samples, err)
	}
	sampler := NewSampler(s)
	standing, err := sampler.Standing(t.Context())
	if err != nil || standing.Dead != (Count{6, true}) || standing.Open.N != 1 || standing.Rejected.N != 1 || standing.OldestOpen == nil || standing.OldestPending != nil ||
		len(standing.Unfinished) != 3 || len(standing.DeadDeliveries) != 3 || !standing.DeadExact || !standing.UnfinishedExact {
		t.Errorf("%+v: %v", standing, err)
	}
	withDeliveries(t, admin, "a", "open", "x waiting")
	if again, err := sampler.Standing(t.Context()); err != nil || !again.At.Equal(standing.At) {
		t.Errorf("a second one right after is of %s, not of %s: %v", again.At, standing.At, err)
	}
	if o, err := s.Overview(t.Context()); err != nil || !o.Any {
		t.Errorf("%+v: %v", o, err)
	}
}

func TestThePulseOfAllRelaysIsOne(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	minute := time.Now().UTC().Truncate(time.Minute).Add(-10 * time.Minute)
	var wait Latencies
	wait.Add(4 * time.Millisecond)
	wait.Add(time.Hour)
	for _, owner := range []relay.ID{relay.NewID(), relay.NewID()} {
		for range 2 {
			err := s.WritePulse(t.Context(), owner, []PulseSent{{Minute: minute, Source: "shop", Topic: "a", Taken: 3, Rejected: 1, Bytes: 10, LastAt: minute}},
				[]PulseOutcome{{Minute: minute, Subscription: "x", Accepted: 2, Wait: wait}, {Minute: minute, Subscription: "y", PushFailed: 1, Causes: Causes{relay.CauseTimeout: 1, relay.HTTPCause(500): 2}}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	points, err := s.Pulse(t.Context(), PulseQuery{From: minute, To: minute.Add(time.Minute), Step: time.Minute})
	if err != nil || len(points) != 1 || points[0].Received != 12 || points[0].Accepted != 8 || points[0].PushFailed != 4 || sumBuckets(points[0].Wait) != 8 || fmt.Sprint(points[0].Causes) != "map[http 500:8 timeout:4]" {
		t.Errorf("%+v: %v", points, err)
	}
	if one, err := s.Pulse(t.Context(), PulseQuery{Subscription: "y", From: minute, To: minute.Add(time.Minute), Step: time.Hour}); err != nil || len(one) != 1 || one[0].PushFailed != 4 || one[0].Accepted != 0 || fmt.Sprint(one[0].Causes) != "map[http 500:8 timeout:4]" {
		t.Errorf("%+v: %v", one, err)
	}
	sums, err := s.PulseBySubscription(t.Context(), minute)
	if err != nil || len(sums) != 2 || sums[0].Accepted != 8 || sums[0].Wait.Quantile(1) != 600*time.Second {
		t.Errorf("%+v: %v", sums, err)
	}
	shop := "shop"
	for _, source := range []*string{nil, &shop} {
		if senders, err := s.Senders(t.Context(), minute, source, 10); err != nil || len(senders) != 1 || senders[0].Taken != 12 || senders[0].Rejected != 4 || !senders[0].LastAt.Equal(minute) {
			t.Errorf("%+v: %v", senders, err)
		}
	}
	if n, err := s.RetainPulse(t.Context()); n != 0 || err != nil {
		t.Errorf("removed %d young rows: %v", n, err)
	}
	if err := s.WritePulse(t.Context(), relay.NewID(), nil, []PulseOutcome{{Minute: minute.Add(-PulseKept), Subscription: "x"}}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.RetainPulse(t.Context()); n != 1 || err != nil {
		t.Errorf("removed %d old rows, want 1: %v", n, err)
	}
}

func sumBuckets(l Latencies) (n int64) {
	for _, one := range l {
		n += one
	}
	return n
}

func TestThePayloadIsReadByteForByte(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	text := insert(t, admin, "topic, payload", `'t', '{"n":  1.0, "n": 2}'`)
	binary := insert(t, admin, "topic, body, content_type", `'t', '\x00ff', 'x/y'`)
	none := insert(t, admin, "topic", "'t'")
	for id, want := range map[relay.ID]string{text: `{"n":  1.0, "n": 2}`, binary: "\x00\xff", none: ""} {
		if p, err := s.MessagePayload(t.Context(), id, 100); err != nil || string(p.Body) != want || p.Binary != (id == binary) {
			t.Errorf("%q, want %q: %v", p.Body, want, err)
		}
	}
	_, large := s.MessagePayload(t.Context(), text, 5)
	_, gone := s.MessagePayload(t.Context(), relay.NewID(), 5)
	if !errors.Is(large, ErrTooLarge) || !errors.Is(gone, ErrGone) {
		t.Errorf("%v; %v", large, gone)
	}
}

// What relay status and relay doctor tell was read row by row, and took seconds among some million deliveries.
func TestTheExaminerCountsByIndexes(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	withDeliveries(t, admin, "a", "dead", "x dead", "y dead")
	withDeliveries(t, admin, "a", "dead", "x dead")
	for _, status := range []string{"waiting", "push_failed", "push_failed"} {
		withDeliveries(t, admin, "a", "open", "x "+status, "direct "+status)
	}
	withDeliveries(t, admin, "a", "done", "x handled")
	withDeliveries(t, admin, "a", "cancelled", "x cancelled")
	if _, err := admin.Exec(t.Context(), `update relay.delivery set cause = 'timeout', last_error = 'newest' where seq = (select max(seq) from relay.delivery where status = 'dead');
		update relay.delivery set circuit = 'https://h' where subscription = 'direct'`); err != nil {
		t.Fatal(err)
	}
	e, err := Examine(t.Context(), s.own.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Conn.Close(context.WithoutCancel(t.Context()))
	waiting, err := e.WaitingDeliveries(t.Context())
	want := []Waiting{{"x", "push_failed", 2, "why", "x"}, {"x", "waiting", 1, "why", "x"}, {"https://h", "push_failed", 2, "why", "direct"}, {"https://h", "waiting", 1, "why", "direct"}}
	if err != nil || !slices.Equal(waiting, want) {
		t.Errorf("waiting %v, want %v: %v", waiting, want, err)
	}
}
