package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"relay"
	"relay/retry"
	"relay/schedule"
	"relay/sql"
	"relay/test/harness"
	"relay/test/migrated"
)

func TestMain(m *testing.M) { harness.Main(m) }

// bench is an engine on a database of its own, whose destinations are scripted.
type bench struct {
	t      *testing.T
	db     *harness.DB
	store  *sql.Store
	engine *Engine
	lanes  *lanes
	routes *routes
	stop   context.CancelFunc
	ended  chan error
}

// newBench starts an engine. Its sweeps run every 500 ms, as no doorbell works.
func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	store, db := migrated.Open(t)
	groups, err := schedule.Parse("0-31 every 1s; 32-63 every 1s limit 7")
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := store.AckKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, db: db, store: store, lanes: &lanes{wake: make(chan struct{}, 1), room: 100}, routes: &routes{}, ended: make(chan error, 1)}
	config := Config{
		Store: store, Sampler: sql.NewSampler(store), Router: b.routes, Subscriptions: b.routes, Dispatcher: b.lanes, Circuits: b.lanes,
		Policy: retry.Policy{Backoff: []time.Duration{50 * time.Millisecond}, MaxAttempts: 3}, Groups: groups,
		Streaming: func() bool { return false }, Ringing: func() bool { return false },
		InFlight: 1000, InFlightBytes: 1 << 24, MaxPayload: 1 << 20, AckKey: key, Retention: time.Hour, LeaseTTL: 3 * time.Second, Grace: 5 * time.Second,
		ID: relay.NewID(), Name: "test", Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)), Metrics: NewMetrics(nil),
	}
	if change != nil {
		change(&config)
	}
	b.engine = New(config)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	b.stop = stop
	go func() { b.ended <- b.engine.Run(ctx) }()
	t.Cleanup(func() { stop(); <-b.ended })
	return b
}

// end stops the engine and returns how it ended.
func (b *bench) end() error {
	b.stop()
	err := <-b.ended
	b.ended <- err
	return err
}

func (b *bench) exec(statement string, arguments ...any) {
	b.t.Helper()
	if _, err := b.db.Admin(b.t).Exec(b.t.Context(), statement, arguments...); err != nil {
		b.t.Fatal(err)
	}
}

// send inserts a message and rings for it, as the stream does.
func (b *bench) send(topic, key string) relay.ID {
	b.t.Helper()
	ring := relay.Ring{ID: relay.NewID(), Key: key}
	err := b.db.Admin(b.t).QueryRow(b.t.Context(), `insert into relay.outbox (id, topic, key) values ($1, $2, nullif($3, '')) returning seq, xmin::text::bigint`,
		[16]byte(ring.ID), topic, key).Scan(&ring.Seq, &ring.Xid)
	if err != nil {
		b.t.Fatal(err)
	}
	b.engine.Ring([]relay.Ring{ring})
	return ring.ID
}

func (b *bench) text(query string, arguments ...any) (text string) {
	b.t.Helper()
	if err := b.db.Admin(b.t).QueryRow(b.t.Context(), query, arguments...).Scan(&text); err != nil {
		b.t.Fatal(err)
	}
	return text
}

// wait waits until a message has a status.
func (b *bench) wait(id relay.ID, status relay.MessageStatus) {
	b.t.Helper()
	harness.Eventually(b.t, 30*time.Second, fmt.Sprintf("message %s is %s", id, status), func() bool {
		return b.text("select status::text from relay.outbox where id = $1", [16]byte(id)) == string(status)
	})
}

// waitDelivery waits until a delivery has a status and a reason.
func (b *bench) waitDelivery(id relay.ID, want string) {
	b.t.Helper()
	harness.Eventually(b.t, 30*time.Second, fmt.Sprintf("the deliveries of %s are %q", id, want), func() bool {
		return want == b.text(`select coalesce(string_agg(concat_ws(' ', subscription, nullif(instance, ''), status, reason), ', ' order by subscription, instance), '')
			from relay.delivery where message_id = $1`, [16]byte(id))
	})
}

// lanes is a dispatcher whose answers are scripted.
type lanes struct {
	mu     sync.Mutex
	answer func(d *relay.Delivery) relay.Outcome // nil: everything is handled
	sent   []relay.ID
	room   int
	wake   chan struct{}
	under  sync.WaitGroup
}

func (l *lanes) answers(answer func(d *relay.Delivery) relay.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = answer
}

func (l *lanes) Dispatch(d *relay.Delivery, _ bool, done func(relay.Outcome)) {
	l.mu.Lock()
	answer := l.answer
	l.mu.Unlock()
	l.under.Go(func() {
		o := relay.Outcome{Class: relay.ClassHandled}
		if answer != nil {
			o = answer(d)
		}
		if o.Class != relay.ClassParked && o.Class != relay.ClassResolved {
			o.Started, o.Duration = time.Now(), time.Millisecond
			l.mu.Lock()
			l.sent = append(l.sent, d.Message.ID)
			l.mu.Unlock()
		}
		done(o)
	})
}

func (l *lanes) Stop(context.Context)  { l.under.Wait() }
func (l *lanes) Wake() <-chan struct{} { return l.wake }
func (l *lanes) Up(string)             {}
func (l *lanes) UpInstances(string)    {}
func (l *lanes) Room(string, bool) int { l.mu.Lock(); defer l.mu.Unlock(); return l.room }
func (l *lanes) setRoom(n int)         { l.mu.Lock(); defer l.mu.Unlock(); l.room = n }
func (l *lanes) order() (ids []relay.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(ids, l.sent...)
}

// routes is a router: the words of a topic are the subscriptions that it goes to.
type routes struct {
	mu      sync.Mutex
	all     map[string]*relay.Subscriber
	version int64
}

func (r *routes) Replace(version int64, all []*relay.Subscriber) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.version, r.all = version, make(map[string]*relay.Subscriber)
	for _, s := range all {
		r.all[s.Name] = s
	}
}

func (r *routes) Version() int64  { r.mu.Lock(); defer r.mu.Unlock(); return r.version }
func (r *routes) WantsAcks() bool { return true }
func (r *routes) NoRoute() string { return "no route" }

func (r *routes) Routes(topic string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range strings.Split(topic, ".") {
		if r.all[name] != nil {
			n++
		}
	}
	return n
}

func (r *routes) Route(m *relay.Message) (out []*relay.Delivery, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range strings.Split(m.Topic, ".") {
		if s := r.all[name]; s != nil {
			out = append(out, &relay.Delivery{Message: m, Subscriber: s, Attempt: 1})
		}
	}
	if len(out) == 0 {
		return nil, relay.Rejection("no route")
	}
	return out, nil
}

func (r *routes) Resume(m *relay.Message, subscription, instance, _ string, attempts int) (*relay.Delivery, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.all[subscription]
	if s == nil {
		return nil, relay.Rejection("there is no subscription " + subscription)
	}
	return &relay.Delivery{Message: m, Subscriber: s, Instance: instance, Attempt: attempts + 1}, nil
}

// subscribe makes subscriptions, with more settings if there are any.
func (b *bench) subscribe(names string, settings ...string) {
	b.t.Helper()
	columns, values := "", ""
	if len(settings) > 0 {
		columns, values = ", "+settings[0], ", "+settings[1]
	}
	for _, name := range strings.Split(names, ".") {
		b.exec("insert into relay.subscription (name, topics, target"+columns+") values ($1, '{#}', 'http://127.0.0.1:9/'"+values+")", name)
	}
	harness.Eventually(b.t, 20*time.Second, "the subscriptions are loaded", func() bool { return b.routes.Routes(names) == strings.Count(names, ".")+1 })
}

// testWriter writes lines of a log to the log of the test.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(line []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(line), "\n"))
	return len(line), nil
}
