package test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"relay/test/checker"
	"relay/test/harness"
)

// What make model sets; a plain run keeps to a short program that is always the same.
var (
	modelSeed = flag.Uint64("model.seed", 1, "seed of the program of TestModel")
	modelFor  = flag.Duration("model.for", 5*time.Second, "how long the program of TestModel runs")
)

// model is a system whose every part does what a random program says, and what each part
// knows of it.
type model struct {
	t       testing.TB
	begun   time.Time
	db      *harness.DB
	app     *pgxpool.Pool
	admin   *pgxpool.Pool
	env     []string // of every relay
	inboxes *inboxes
	toAMQP  *proxy

	names    *names // that the relays look up
	fleetURL string
	fleet    []string // the names of its instances

	stop   context.CancelFunc // ends the producers
	actors sync.WaitGroup

	mu            sync.Mutex
	relays        []*process // that are to run
	acksAt        map[*process]string
	sent          []checker.Message
	changes       []checker.Change
	cancels       []checker.Cancel
	interruptions []checker.Interruption
	retried       map[string]bool
	heads         map[string]bool // of keys, that were retried
}

// TestModel runs a random program against the relay and has the checker state what every
// subscriber was owed. The program is drawn by hand from a seed rather than by a library
// for properties: those live by running a failing program again, smaller, and what fails
// here depends on real time and real processes as well.
func TestModel(parallel *testing.T) {
	parallel.Parallel()
	t := newReporter(parallel)
	plan := modelPlan(*modelSeed, *modelFor)
	t.Logf("%d acts in %s; again with make model SEED=%d FOR=%s", len(plan), *modelFor, *modelSeed, *modelFor)
	m := newModel(t, *modelSeed)
	m.launchRelay()
	m.launchRelay()
	m.produce(*modelSeed)
	m.run(plan)
	m.heal()
	m.rest()
	e := m.evidence()
	v := checker.Judge(e)
	t.Log(v)
	for what, n := range v.Explained {
		t.Logf("%6d duplicates: %s", n, what)
	}
	if err := v.Err(); err != nil {
		for _, id := range slices.Compact(namedMessage.FindAllString(err.Error(), 12)) {
			t.Log(checker.History(e, id))
		}
		t.Error(err)
	}
}

// namedMessage finds the ids in what a verdict says.
var namedMessage = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func newModel(t testing.TB, seed uint64) *model {
	t.Helper()
	m := &model{t: t, begun: time.Now(), db: migrated.Database(t), acksAt: make(map[*process]string), retried: make(map[string]bool), heads: make(map[string]bool)}
	m.app, m.admin = m.db.App(t), m.db.Admin(t)
	node := harness.Rabbit(t)
	vhost := harness.AMQPURL(t)
	m.toAMQP = newProxy(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(node.Port())))
	m.inboxes = newInboxes(t, vhost, m.takesAcks)
	m.names = newNames(t)
	m.fleetURL, m.fleet = newFleetOf(t, m.names, m.inboxes)
	random := rand.New(rand.NewPCG(seed, 1))
	m.env = []string{
		"RELAY_AMQP_URL=" + m.toAMQP.through(t, vhost), "RELAY_LEASE_TTL=3s", "RELAY_HTTP_TIMEOUT=4s", "RELAY_SHUTDOWN_GRACE=6s",
		"RELAY_BACKOFF=100ms,300ms", "RELAY_MAX_ATTEMPTS=1000000", "RELAY_RECONCILE=0-63 every 1s",
		fmt.Sprint("RELAY_HTTP_CONCURRENCY=", 1+random.IntN(16)), fmt.Sprint("RELAY_IN_FLIGHT=", 50<<random.IntN(8)),
	}
	m.exec(modelSteps)
	for _, s := range modelSubscriptions {
		if !s.late {
			if err := m.create(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	return m
}

// modelSteps has the database keep every state that the relay writes.
const modelSteps = `
create schema model;
create table model.step (n bigint generated always as identity, message text, subscription text, status text, at timestamptz default clock_timestamp(), error text);
create function model.delivery() returns trigger language plpgsql security definer as $$ begin
	insert into model.step (message, subscription, status, error) values (new.message_id, concat_ws('/', new.subscription, case when new.subscription <> 'direct' then nullif(new.instance, '') end), new.status, coalesce(new.last_error, new.reason));
	return null;
end $$;
create function model.message() returns trigger language plpgsql security definer as $$ begin
	insert into model.step (message, subscription, status) values (new.id, '', new.status);
	return null;
end $$;
create trigger model after insert or update on relay.delivery for each row execute function model.delivery();
create trigger model after update on relay.outbox for each row
	when (new.status in ('dead', 'rejected', 'cancelled')) execute function model.message();`

func (m *model) exec(statement string, arguments ...any) {
	m.t.Helper()
	if _, err := m.admin.Exec(m.t.Context(), statement, arguments...); err != nil {
		m.t.Fatalf("%s: %v", statement, err)
	}
}

// interrupted notes that outcomes may have become unknown from then until a second from now.
func (m *model) interrupted(what string, from time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.interruptions = append(m.interruptions, checker.Interruption{What: what, From: from, To: time.Now().Add(time.Second)})
}

// heal ends the producers and makes everything work again.
func (m *model) heal() {
	m.stop()
	m.actors.Wait()
	m.logf("healed")
	for _, s := range modelSubscriptions {
		if err := m.create(s); err != nil {
			m.t.Fatal(err)
		}
		if err := m.change(s, "update relay.subscription set paused = false, topics = $2 where name = $1", s.topics); err != nil {
			m.t.Fatal(err)
		}
	}
}

// rest waits until nothing is left to be done. The person of the model frees keys that a dead
// message holds, by a retry.
func (m *model) rest() {
	next := time.Now()
	var last string
	defer func() {
		if m.t.Failed() {
			m.t.Log("still to be done: ", last)
		}
	}()
	harness.AsLongAsItMoves(m.t, 40*time.Second, "the system comes to rest", func() (bool, int) {
		if time.Now().After(next) {
			m.retry("d.status = 'dead' and d.subscription = '"+holdsKeys+"'", 1000)
			next = time.Now().Add(time.Second)
		}
		u, err := checker.ReadUnrest(m.t.Context(), m.admin)
		var unrouted, acks, jobs int
		if err == nil {
			err = m.admin.QueryRow(m.t.Context(), `select (select count(*) from relay.outbox where status = 'rejected' and last_error like 'no route%'),
				(select count(*) from relay.ack), (select count(*) from relay.job where status = 'running')`).Scan(&unrouted, &acks, &jobs)
		}
		last = fmt.Sprint(u, ", ", unrouted, " without a route, ", acks, " acknowledgements to be applied, ", jobs, " jobs running ", err)
		if err != nil {
			return false, math.MaxInt
		}
		return u == checker.Unrest{} && unrouted == 0 && acks == 0 && jobs == 0, u.Pending + u.Open
	})
}

// evidence collects what all parts know.
func (m *model) evidence() checker.Evidence {
	m.t.Helper()
	rows, err := checker.ReadRows(m.t.Context(), m.admin)
	if err != nil {
		m.t.Fatal(err)
	}
	found, err := m.admin.Query(m.t.Context(), "select message, subscription, status, at, coalesce(error, '') from model.step order by n")
	if err != nil {
		m.t.Fatal(err)
	}
	steps, err := pgx.CollectRows(found, pgx.RowToStructByPos[checker.Step])
	if err != nil {
		m.t.Fatal(err)
	}
	received, requests := m.inboxes.all()
	words := m.inboxes.consumers.all()
	m.mu.Lock()
	defer m.mu.Unlock()
	replays := m.jobsDid()
	return checker.Evidence{Sent: m.sent, Received: received, Requests: requests, Rows: rows, Interruptions: m.interruptions,
		Changes: m.changes, Steps: steps, Cancels: m.cancels, Words: words, Retried: m.retried, Heads: m.heads, Replays: replays}
}

func (m *model) logf(format string, arguments ...any) {
	m.t.Helper()
	m.t.Logf("%7.2fs %s", time.Since(m.begun).Seconds(), fmt.Sprintf(format, arguments...))
}
