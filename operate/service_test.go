package operate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay"
	"relay/sql"
	"relay/test/harness"
)

var someone = Actor{Name: "kim", Role: RoleOperator, Address: "10.0.0.9", Reason: "drill"}

// fixture is a service on a database of its own.
type fixture struct {
	*Service
	admin *pgxpool.Pool
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	db := harness.Database(t)
	store, err := sql.Open(t.Context(), db.URL, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if _, _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return fixture{New(store), db.Admin(t)}
}

// exec runs a statement that returns one text.
func (f fixture) text(t *testing.T, statement string, arguments ...any) (text string) {
	t.Helper()
	if err := f.admin.QueryRow(t.Context(), statement, arguments...).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// message inserts a message with one delivery.
func (f fixture) message(t *testing.T, status, subscription, delivery string) string {
	t.Helper()
	id := f.text(t, `insert into relay.outbox (topic, payload, status, finished_at) values ('t', '{"n": 1}', $1::text::relay.message_status, now()) returning id::text`, status)
	if subscription == "" {
		return id
	}
	f.text(t, `insert into relay.delivery (message_id, subscription, target, status, circuit, shard, seq, due_at, attempts)
		select id, $2, 'http://u:hunter2@h/x', $3::text::relay.delivery_status, 'c', shard, seq, now(), 1 from relay.outbox where id = $1::text::uuid returning ''`, id, subscription, delivery)
	return id
}

func TestAChangeSaysWhatItDidAndIsAudited(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	done, dead, missing := f.message(t, "done", "shop", "handled"), f.message(t, "dead", "shop", "dead"), relay.NewID().String()
	for _, tt := range []struct{ id, subscription, want string }{
		{done, "", "ended well: handled by shop"},
		{done, "shop", "no delivery: handled by shop"},
		{done, "other", "no delivery: it was not sent to other"},
		{missing, "", "not found"},
		{dead, "shop", "cancelled"},
	} {
		var results []Result
		if err := f.Cancel(t.Context(), someone, Change{IDs: []string{tt.id}, Subscription: tt.subscription}, Collect(&results)); err != nil {
			t.Fatal(err)
		}
		if len(results) != 1 || results[0].String() != tt.want || results[0].OK != (tt.want == "cancelled") {
			t.Errorf("%+v, want %s", results, tt.want)
		}
	}
	page, err := f.Audit(t.Context(), AuditFilter{Kind: string(sql.AuditMessage), Object: dead}, At{})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	if e := page.Items[0]; e.Name != "kim" || e.Role != string(RoleOperator) || e.Address != "10.0.0.9" || e.Reason != "drill" || e.Result != "cancelled" {
		t.Errorf("%+v", e)
	}
	err = f.Cancel(t.Context(), someone, Change{IDs: []string{"x"}}, Collect(new([]Result)))
	if CodeOf(err) != CodeInvalid || !strings.HasPrefix(err.Error(), "ids: ") {
		t.Errorf("a bad id: %v", err)
	}
}

func TestViewsShowNoSecret(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.message(t, "dead", "shop", "dead")
	f.text(t, `update relay.outbox set headers = '{"Authorization": "hunter2", "a": "b"}' where id = $1::text::uuid returning ''`, id)
	m, err := f.Message(t.Context(), id, true)
	if err != nil || m.Headers["Authorization"] != Hidden || m.Headers["a"] != "b" || m.Payload == nil || m.Payload.Text != `{"n": 1}` {
		t.Errorf("%+v, %v", m, err)
	}
	if len(m.Deliveries) != 1 || m.Deliveries[0].Target != "http://h/x" || m.Deliveries[0].TargetHidden == "" {
		t.Errorf("%+v", m.Deliveries)
	}
	if _, err := f.Message(t.Context(), relay.NewID().String(), false); CodeOf(err) != CodeNoMessage {
		t.Errorf("a message that is not there: %v", err)
	}
}

func TestASubscriptionIsChangedAtItsVersionAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	settings := Settings{Topics: Set([]string{"order.#"}), Target: Set("http://h/"), Secrets: Set([]string{"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="})}
	created, err := f.Put(t.Context(), someone, "shop", "", settings)
	if err != nil || !created {
		t.Fatalf("%v, %v", created, err)
	}
	before, err := f.Subscription(t.Context(), "shop")
	if err != nil || before.Secrets != 1 || before.Version == "" || before.State != SubscriptionActive {
		t.Fatalf("%+v, %v", before, err)
	}
	if err := f.SetPaused(t.Context(), someone, "shop", true); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Put(t.Context(), someone, "shop", before.Version, Settings{MaxAttempts: Set(3)}); CodeOf(err) != CodeVersion {
		t.Errorf("at an old version: %v", err)
	}
	for field, bad := range map[string]Settings{
		"topics": {Topics: Set([]string{"order*"})}, "target": {Target: Set("ftp://h")}, "secrets": {Secrets: Set([]string{"hunter2"})},
		"headers": {Headers: Set(map[string]string{"ce-id": "x"})}, "concurrency": {Concurrency: Set(0)}, "rate_limit": {RateLimit: Set(-1.0)}, "ack": {Ack: Set("never")},
	} {
		_, err := f.Put(t.Context(), someone, "shop", "", bad)
		if CodeOf(err) != CodeInvalid || !strings.HasPrefix(err.Error(), field+": ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := f.SetPaused(t.Context(), someone, "none", true); CodeOf(err) != CodeNoSubscription {
		t.Errorf("one that is not there: %v", err)
	}
	if _, err := f.Delete(t.Context(), someone, "shop", before.Version, false); CodeOf(err) != CodeVersion {
		t.Errorf("deleted at an old version: %v", err)
	}
	f.message(t, "open", "shop", "push_failed")
	if _, err := f.Delete(t.Context(), someone, "shop", "", false); CodeOf(err) != CodeOutstanding {
		t.Errorf("with deliveries outstanding: %v", err)
	}
	if d, err := f.Delete(t.Context(), someone, "shop", "", true); err != nil || d.Cancelled != 1 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestARepeatedRequestChangesNothingTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, repeated, err := f.Insert(t.Context(), someone, Draft{Topic: "t"}, "key")
	if err != nil || repeated {
		t.Fatalf("%v, %v", repeated, err)
	}
	again, repeated, err := f.Insert(t.Context(), someone, Draft{Topic: "t"}, "key")
	if err != nil || !repeated || again.ID != first.ID {
		t.Errorf("%+v, %v, %v", again, repeated, err)
	}
	if _, _, err := f.Insert(t.Context(), someone, Draft{Topic: "other"}, "key"); CodeOf(err) != CodeOtherRequest {
		t.Errorf("another request with the key: %v", err)
	}
	f.message(t, "dead", "shop", "dead")
	r := JobRequest{Kind: sql.JobRetry, Filter: Filter{Status: []relay.MessageStatus{relay.MessageDead}}, Key: "key"}
	job, _, err := f.StartJob(t.Context(), someone, r)
	if err != nil || job.Total != 1 || job.Actor != "kim" || job.Reason != "drill" {
		t.Fatalf("%+v, %v", job, err)
	}
	if same, repeated, err := f.StartJob(t.Context(), someone, r); err != nil || !repeated || same.ID != job.ID {
		t.Errorf("%+v, %v, %v", same, repeated, err)
	}
	for _, bad := range []JobRequest{
		{Kind: "explode"}, {Kind: sql.JobRetry}, {Kind: sql.JobRetry, Filter: Filter{Status: []relay.MessageStatus{relay.MessageDone}}},
		{Kind: sql.JobCancel, Filter: Filter{Status: []relay.MessageStatus{relay.MessageCancelled}}}, {Kind: sql.JobReplay},
		{Kind: sql.JobRetry, Filter: r.Filter, Rate: -1},
	} {
		if _, err := f.Preview(t.Context(), bad, 0); CodeOf(err) != CodeInvalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestEndsAreAwaited(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ids := []string{f.message(t, "done", "", ""), f.message(t, "dead", "", ""), f.message(t, "open", "", ""), relay.NewID().String()}
	ends, err := f.AwaitEnds(t.Context(), ids, 50*time.Millisecond)
	if err != nil || len(ends) != 3 || ends[relay.MessageDone] != 1 || ends[relay.MessageDead] != 1 || ends[relay.MessageOpen] != 1 {
		t.Errorf("%v, %v", ends, err)
	}
}

func TestListsOfAnEmptySystemAreEmptyAndNotNull(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	if p, err := f.Messages(ctx, Filter{}, At{}, time.Second); err != nil || p.Items == nil || !p.Complete {
		t.Errorf("messages: %+v, %v", p, err)
	}
	if p, err := f.Deliveries(ctx, DeliveryFilter{Subscription: "direct"}, At{}); err != nil || p.Items == nil {
		t.Errorf("deliveries: %+v, %v", p, err)
	}
	if p, err := f.Keys(ctx, "", At{}); err != nil || p.Items == nil {
		t.Errorf("keys: %+v, %v", p, err)
	}
	for _, state := range []string{"dead", "failing", "rejected"} {
		if groups, err := f.Failures(ctx, state, "", ""); err != nil || groups == nil {
			t.Errorf("%s: %+v, %v", state, groups, err)
		}
	}
	if st, err := f.Standings(ctx, nil); err != nil || st.Of("none").ByStatus == nil || st.Of("none").Outstanding != exactly(0) {
		t.Errorf("standings: %+v, %v", st, err)
	}
	if o, err := f.Overview(ctx, nil, false); err != nil || !o.FirstRun || o.Subscribers == nil || len(o.Needs) != 1 || o.Needs[0].Kind != "no_relay" {
		t.Errorf("overview: %+v, %v", o, err)
	}
	if p, err := f.Pulse(ctx, "", time.Now().Add(-time.Hour), time.Now(), time.Minute); err != nil || len(p.Points) < 60 || p.Points[0].Outstanding != nil {
		t.Errorf("pulse: %+v, %v", p, err)
	}
	if senders, err := f.Senders(ctx, Routing{}); err != nil || senders == nil {
		t.Errorf("senders: %+v, %v", senders, err)
	}
	for _, err := range []error{
		func() error { _, err := f.Messages(ctx, Filter{Key: "a\x00b"}, At{}, time.Second); return err }(),
		func() error { _, err := f.Messages(ctx, Filter{}, At{Cursor: "nonsense"}, time.Second); return err }(),
		func() error { _, err := f.Messages(ctx, Filter{}, At{Limit: -1}, time.Second); return err }(),
		func() error { _, err := f.Failures(ctx, "strange", "", ""); return err }(),
		func() error { _, err := f.Deliveries(ctx, DeliveryFilter{}, At{}); return err }(),
		func() error { _, err := f.Audit(ctx, AuditFilter{Object: "x"}, At{}); return err }(),
	} {
		if CodeOf(err) != CodeInvalid {
			t.Errorf("%v is %s", err, CodeOf(err))
		}
	}
}

// A history has what was outstanding in the minutes in which a relay counted, and no number in the others.
func TestAHistoryTellsNotCountedFromNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	to := time.Now().Truncate(time.Minute)
	counted := sql.Standing{
		Pending: sql.Count{N: sql.StandingLimit}, Open: sql.Count{N: 2, Exact: true}, UnfinishedExact: true,
		Unfinished: []sql.StandingGroup{{Subscription: "shop", Status: relay.DeliveryWaiting, N: 2}},
	}
	if err := f.store.WritePulseStanding(t.Context(), to.Add(-time.Minute), counted); err != nil {
		t.Fatal(err)
	}
	for subscription, want := range map[string]Count{"": {sql.StandingLimit + 2, AtLeast}, "shop": exactly(2), "other": exactly(0)} {
		p, err := f.Pulse(t.Context(), subscription, to.Add(-2*time.Minute), to, time.Minute)
		if err != nil || len(p.Points) != 2 || p.Points[0].Outstanding != nil || p.Points[1].Outstanding == nil || *p.Points[1].Outstanding != want {
			t.Errorf("%q: %+v, %v, want %+v in the second minute alone", subscription, p.Points, err, want)
		}
	}
}

// What was rejected for want of a route names the topic that needs a subscription, if it is one.
func TestRejectedMessagesNameTheTopicThatNeedsASubscription(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	reject := func(topic string) {
		f.text(t, `insert into relay.outbox (topic, payload, status, cause, last_error, finished_at)
			values ($1, '{}', 'rejected', 'rejected: route', 'nothing matches', now()) returning ''`, topic)
	}
	reject("order.refunded")
	reject("order.refunded")
	for _, topic := range []string{"order.refunded", ""} {
		o, err := f.Overview(t.Context(), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, n := range o.Needs {
			if n.Kind == "rejected" {
				found++
				if n.Topic != topic || topic != "" && n.Text != "2 were rejected: no subscription matches order.refunded." {
					t.Errorf("%+v, want the topic %q", n, topic)
				}
			}
		}
		if found != 1 {
			t.Errorf("%d needs of %+v", found, o.Needs)
		}
		reject("order.lost") // now they have two
	}
}

// A history has the causes of what failed, the most frequent first.
func TestAHistoryHasCauses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	to := time.Now().Truncate(time.Minute)
	causes := sql.Causes{relay.CauseTimeout: 2, relay.HTTPCause(500): 5, "": 1}
	err := f.store.WritePulse(t.Context(), relay.NewID(), nil, []sql.PulseOutcome{{Minute: to.Add(-time.Minute), Subscription: "shop", PushFailed: 3, HandleFailed: 5, Causes: causes}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.Pulse(t.Context(), "shop", to.Add(-2*time.Minute), to, time.Minute)
	want := []CauseCount{{"http 500", "handle", 5}, {"timeout", "push", 2}, {"", "unknown", 1}}
	if err != nil || len(p.Points) != 2 || len(p.Points[0].Causes) != 0 || p.Points[0].Causes == nil || !slices.Equal(p.Points[1].Causes, want) {
		t.Errorf("%+v, %v, want %+v in the second minute alone", p.Points, err, want)
	}
}

// Overview and status counted a relay that had died as one that runs.
func TestASilentRelayDoesNotRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.text(t, `insert into relay.instance (id, name, version, seen_at) values (gen_random_uuid(), 'old', 'v1', now() - interval '1 hour') returning name`)
	runs := func() (running int, needed bool) {
		t.Helper()
		o, err := f.Overview(t.Context(), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		st, err := f.Status(t.Context(), SchemaStatus{}, nil)
		if err != nil || len(st.Relays) != len(o.Relays) || Running(st.Relays) != Running(o.Relays) || !o.Relays[0].Silent {
			t.Errorf("the status has %+v, the overview %+v, %v", st.Relays, o.Relays, err)
		}
		return Running(o.Relays), slices.ContainsFunc(o.Needs, func(n Need) bool { return n.Kind == "no_relay" })
	}
	if n, needed := runs(); n != 0 || !needed {
		t.Errorf("%d relays run, and a person is asked for one: %v", n, needed)
	}
	f.text(t, `insert into relay.instance (id, name, version) values (gen_random_uuid(), 'new', 'v1') returning name`)
	if n, needed := runs(); n != 1 || needed {
		t.Errorf("%d relays run beside the silent one, and a person is asked for one: %v", n, needed)
	}
}

func TestACircuitOfSeveralInstancesIsOpenSinceTheFirst(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	var live Live
	live.AddCircuit("everyone/10.0.0.1:80", time.Time{})
	live.AddCircuit("everyone/10.0.0.2:80", noon.Add(time.Minute))
	live.AddCircuit("everyone/10.0.0.3:80", noon)
	live.AddCircuit("https://shop.example/", noon)
	if !slices.Equal(live.Circuits, []OpenCircuit{{"everyone", noon}}) || !slices.Equal(live.Targets, []OpenCircuit{{"https://shop.example/", noon}}) {
		t.Errorf("%+v", live)
	}
}
