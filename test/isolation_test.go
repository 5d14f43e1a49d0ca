package test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
)

// neighbour is a healthy destination with steady traffic beside one in trouble.
type neighbour struct {
	*system
	healthy *receiver
}

// figures are how a healthy destination fares.
type figures struct {
	rate  float64 // deliveries a second
	share float64 // of what was inserted, what was delivered before the watching ended
	p99   time.Duration
}

const (
	// every is the time between two messages to the healthy destination, phaseLasts how long it is watched.
	every      = 10 * time.Millisecond
	phaseLasts = 3 * time.Second
)

// newNeighbour starts a system with a healthy subscription.
func newNeighbour(t testing.TB, env ...string) *neighbour {
	t.Helper()
	n := &neighbour{healthy: newReceiver(t, nil)}
	n.system = newSystem(t, env...)
	n.subscribe(t, "healthy", n.healthy.URL)
	return n
}

// subscribe makes a subscription to a topic of the same name.
func (s *system) subscribe(t testing.TB, name, target string) {
	t.Helper()
	s.exec(t, "insert into relay.subscription (name, topics, target) values ($1, array[$1], $2)", name, target)
}

// phase sends steady traffic to the healthy destination, every second message with a key, and returns how it fared.
func (n *neighbour) phase(t testing.TB) figures {
	t.Helper()
	sent := make(map[string]time.Time)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	before := n.healthy.distinct()
	begun := time.Now()
	for i := 0; time.Since(begun) < phaseLasts; i++ {
		at := time.Now()
		sent[n.send(t, "topic, key", "'healthy', $1", []*string{nil, text(fmt.Sprint("k", i%20))}[i%2])] = at
		<-ticker.C
	}
	arrived := float64(n.healthy.distinct() - before)
	rate, share := arrived/time.Since(begun).Seconds(), arrived/float64(len(sent))
	harness.Eventually(t, 30*time.Second, "all of the healthy destination arrives", func() bool { return n.healthy.distinct() == before+len(sent) })
	var latencies []time.Duration
	for _, r := range n.healthy.receipts() {
		if at, ours := sent[r.ID]; ours {
			latencies = append(latencies, r.At.Sub(at))
		}
	}
	slices.Sort(latencies)
	return figures{rate, share, latencies[len(latencies)*99/100]}
}

func text(s string) *string { return &s }

// unharmed checks that the healthy destination fares as in the quiet. A busy machine is allowed for: the aim is 0.8
// of the rate and twice the p99 (what is looked for here lasts for many seconds), and fewer deliveries are no harm
// where fewer messages could be inserted.
func (n *neighbour) unharmed(t testing.TB, what string, quiet figures) {
	t.Helper()
	now := n.phase(t)
	t.Logf("%s: %.0f/s of %.0f/s, %.2f of all inserted, p99 %s of %s", what, now.rate, quiet.rate, now.share, now.p99.Round(time.Millisecond), quiet.p99.Round(time.Millisecond))
	if now.rate < quiet.rate/2 && now.share < 0.8 || now.p99 > 4*quiet.p99+6*time.Second {
		t.Errorf("%s harms the healthy destination: %.0f/s of %.0f/s, p99 %s of %s", what, now.rate, quiet.rate, now.p99, quiet.p99)
	}
	if d := n.healthy.duplicates(); d != 0 {
		t.Errorf("%s: %d duplicates at the healthy destination", what, d)
	}
}

// isolated waits until people are told of rows in quarantine, in a metric and by relay doctor, which says why.
func (s *system) isolated(t testing.TB, operation string, rows int, why ...string) {
	t.Helper()
	metric := fmt.Sprintf("relay_reconcile_quarantined_rows{operation=%q}", operation)
	harness.Eventually(t, time.Minute, fmt.Sprintf("%d rows are in quarantine (%s)", rows, operation), func() bool {
		return s.relay.metric(metric) >= float64(rows)
	})
	for _, text := range why {
		harness.Eventually(t, time.Minute, "the table says "+text, func() bool {
			return s.text(t, "select count(*)::text from relay.quarantine where operation = $1 and error like '%' || $2 || '%'", operation, text) != "0"
		})
	}
	diagnose(t, s.db.URL, "RELAY_SLOT="+s.db.Name, "RELAY_EGRESS_ALLOW=loopback").names(t, "warn", "quarantine", operation, "relay tries again")
}

// empty waits until nothing is in quarantine.
func (s *system) empty(t testing.TB) {
	t.Helper()
	harness.Eventually(t, 60*time.Second, "nothing is in quarantine", func() bool {
		return s.relay.metric("relay_reconcile_quarantined_rows") == 0 && s.text(t, "select count(*)::text from relay.quarantine") == "0"
	})
}

// lock locks rows as a person's psql session does, until release is called.
func (s *system) lock(t testing.TB, rows string, arguments ...any) (release func()) {
	t.Helper()
	tx, err := s.admin.BeginTx(t.Context(), pgx.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	if _, err := tx.Exec(t.Context(), rows+" for update", arguments...); err != nil {
		t.Fatal(err)
	}
	return func() { _ = tx.Rollback(context.Background()) }
}

// twice refuses the first attempt for each message, and accepts the second.
func twice(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("relay-attempt") == "1" {
		w.WriteHeader(http.StatusServiceUnavailable)
		return false
	}
	return true
}

// newHeldBack makes a receiver that answers as twice does, but holds second answers back until release is called: what
// a test does to the row before, it does before the outcome is written, however slow the machine is.
func newHeldBack(t testing.TB) (r *receiver, release func()) {
	t.Helper()
	released := make(gate)
	r = newReceiver(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("relay-attempt") != "1" {
			released.pass(r)
		}
		return twice(w, r)
	})
	return r, func() { close(released) }
}

// A psql session that had locked one delivery stopped everything for as long as it stood, if the message was sent
// again; and so did one that had locked a message.
func TestALockedRowHoldsUpNoOtherDestination(t *testing.T) {
	t.Parallel()
	n := newNeighbour(t, "RELAY_BACKOFF=1s", "RELAY_RECONCILE=0-63 every 1s limit 500")
	troubled := newReceiver(t, twice)
	n.subscribe(t, "troubled", troubled.URL)
	late, locked := newHeldBack(t)
	n.subscribe(t, "late", late.URL)
	quiet := n.phase(t)

	again := n.send(t, "topic", "'troubled'")
	n.waitStatus(t, again, "done")
	retried := n.send(t, "topic", "'late'")
	n.waitStatus(t, retried, "open")
	releaseRetried := n.lock(t, "select 1 from relay.delivery where message_id = $1", retried)
	releaseAgain := n.lock(t, "select 1 from relay.delivery where message_id = $1", again)
	locked()
	n.exec(t, "update relay.outbox set status = 'pending' where id = $1", again)
	n.isolated(t, "write_outcome", 2, "another session has locked a row")
	n.unharmed(t, "a locked delivery", quiet)
	harness.Eventually(t, 20*time.Second, "the message tells of it", func() bool {
		return strings.Contains(n.text(t, "select last_error from relay.outbox where id = $1", retried), "another session has locked a row")
	})
	if first, second := len(late.requests(retried)), len(troubled.requests(again)); first != 2 || second != 3 {
		t.Errorf("%d and %d attempts were made, want 2 and 3", first, second)
	}
	releaseRetried()
	releaseAgain()
	n.waitStatus(t, retried, "done")
	harness.Eventually(t, 20*time.Second, "what was sent again ends as its attempt did", func() bool {
		return n.status(t, again) == "done" && len(troubled.requests(again)) == 4
	})
	n.empty(t)

	pending := n.send(t, "topic, deliver_at", "'troubled', now() + interval '1 second'")
	release := n.lock(t, "select 1 from relay.outbox where id = $1", pending)
	n.isolated(t, "write_outcome", 1, "another session has locked a row")
	n.unharmed(t, "a locked message", quiet)
	release()
	n.waitStatus(t, pending, "done")
	n.empty(t)
}

// curses are what a trigger does to one message each.
var curses = []string{"42P01", "42501", "21000", "40001", "sleep"}

// cursing makes a function for triggers that does to a row what stands behind the dash in its topic or subscription.
const cursing = `
create function public.curse() returns trigger language plpgsql as $$
declare code text := split_part(case tg_table_name when 'outbox' then to_jsonb(new) ->> 'topic' else to_jsonb(new) ->> 'subscription' end, '-', 2);
begin
	if code = 'sleep' then perform pg_sleep(60);
	elsif code <> '' then raise exception 'cursed' using errcode = code; end if;
	return new;
end $$`

// A user's trigger that raised for one outcome was taken for a database that cannot be written to, if its
// SQLSTATE was none of a refusal. One that slept stopped everything for 30 seconds, again and again.
func TestATriggerOnDeliveriesHoldsUpNoOtherDestination(t *testing.T) {
	t.Parallel()
	n := newNeighbour(t)
	troubled := newReceiver(t, nil)
	n.exec(t, cursing)
	n.exec(t, `create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'no' using errcode = '42883'; end $$`)
	n.exec(t, "create trigger curse before insert or update on relay.delivery for each row execute function public.curse()")
	quiet := n.phase(t)
	ids := make(map[string]string)
	for _, curse := range curses {
		n.subscribe(t, "cursed-"+curse, troubled.URL)
		ids[curse] = n.send(t, "topic", "$1", "cursed-"+curse)
	}
	n.unharmed(t, "triggers on deliveries, at first", quiet)
	n.isolated(t, "write_outcome", len(curses), "42P01 in function public.curse", "42501", "21000", "40001", "57014")
	for _, curse := range curses {
		harness.Eventually(t, 20*time.Second, "the message tells of it", func() bool {
			return strings.Contains(n.text(t, "select last_error from relay.outbox where id = $1", ids[curse]), "is not written yet")
		})
	}
	n.unharmed(t, "triggers on deliveries", quiet)

	// Many that sleep, and one of the healthy destination itself.
	n.exec(t, "create trigger own before insert on relay.delivery for each row when (new.key = 'own') execute function public.refuse()")
	n.send(t, "topic, key", "'healthy', 'own'")
	for i := range 20 {
		ids[fmt.Sprint("sleep ", i)] = n.send(t, "topic", "'cursed-sleep'")
	}
	n.isolated(t, "write_outcome", len(curses)+1, "42883 in function public.refuse")
	n.unharmed(t, "a destination whose outcomes all sleep", quiet)
	for _, trigger := range []string{"curse", "own"} {
		n.exec(t, "drop trigger "+trigger+" on relay.delivery")
	}
	n.ended(t, troubled, ids, 1)
}

// An outcome that a trigger refuses was tried while a schema change held up all writing. It noted that nothing can be
// written, and when the trigger refused it again, nothing was left that could take this back: the relay stood still for
// good.
func TestALockOnTheTableAndARefusedOutcomeStopNothing(t *testing.T) {
	t.Parallel()
	n := newNeighbour(t)
	troubled := newReceiver(t, nil)
	n.exec(t, cursing)
	n.exec(t, "create trigger curse before insert or update on relay.delivery for each row execute function public.curse()")
	n.subscribe(t, "cursed-42P01", troubled.URL)
	id := n.send(t, "topic", "'cursed-42P01'")
	n.isolated(t, "write_outcome", 1, "42P01 in function public.curse")

	tx, err := n.admin.BeginTx(t.Context(), pgx.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "lock table relay.delivery in share mode"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, time.Minute, "the relay says that nothing can be written", func() bool {
		return strings.Contains(n.relay.log.String(), `operation="write outcomes" error=`)
	})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	healthy := n.send(t, "topic", "'healthy'")
	n.waitStatus(t, healthy, "done")
	n.exec(t, "drop trigger curse on relay.delivery")
	n.ended(t, troubled, map[string]string{"42P01": id}, 1)
}

// ended waits until what was cursed is done, and checks that it was not sent again meanwhile.
func (n *neighbour) ended(t testing.TB, troubled *receiver, ids map[string]string, attempts int) {
	t.Helper()
	for curse, id := range ids {
		harness.Eventually(t, 60*time.Second, "the outcome of "+curse+" is written", func() bool { return n.status(t, id) == "done" })
		if got := len(troubled.requests(id)); got != attempts {
			t.Errorf("%s: %d attempts, want %d", curse, got, attempts)
		}
		if got := n.text(t, "select last_error from relay.outbox where id = $1", id); got != "" {
			t.Errorf("%s: it is done and tells of %q", curse, got)
		}
	}
	n.empty(t)
}

func TestATriggerOnMessagesHoldsUpNoOtherDestination(t *testing.T) {
	t.Parallel()
	n := newNeighbour(t, "RELAY_BACKOFF=2s")
	troubled, stands := newHeldBack(t)
	quiet := n.phase(t)
	n.exec(t, cursing)
	ids := make(map[string]string)
	for _, curse := range curses {
		n.subscribe(t, "cursed-"+curse, troubled.URL)
		ids[curse] = n.send(t, "topic", "$1", "cursed-"+curse)
	}
	for _, id := range ids {
		n.waitStatus(t, id, "open")
	}
	n.exec(t, "create trigger curse before update on relay.outbox for each row execute function public.curse()")
	stands()
	n.unharmed(t, "triggers on messages, at first", quiet)
	n.isolated(t, "write_outcome", len(curses), "42P01 in function public.curse", "42501", "21000", "40001", "57014")
	for _, curse := range curses {
		harness.Eventually(t, 20*time.Second, "the delivery tells of it", func() bool {
			return strings.Contains(n.text(t, "select last_error from relay.delivery where message_id = $1", ids[curse]), "is not written yet")
		})
	}
	n.unharmed(t, "triggers on messages", quiet)
	n.exec(t, "drop trigger curse on relay.outbox")
	n.ended(t, troubled, ids, 2)
}
