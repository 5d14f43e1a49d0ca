package cdc

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
	"relay/test/harness"
	"relay/throwaway"
)

func TestMain(m *testing.M) { harness.Main(m) }

// outboxColumns are the columns of the table that this package meets.
const makeOutbox = `
create schema if not exists relay;
create table relay.outbox (
  id uuid primary key default gen_random_uuid(),
  seq bigint generated always as identity (cache 1),
  topic text not null default 'test',
  key text,
  payload text,
  status text not null default 'pending',
  internal boolean not null default false,
  deliver_at timestamptz,
  shard smallint not null generated always as ((coalesce(hashtext(key), uuid_hash(id)) & 63)::smallint) stored
);
grant usage on schema relay to app;
grant insert (topic, key, payload, deliver_at) on relay.outbox to app`

// recorder is a sink that remembers.
type recorder struct {
	mu      sync.Mutex
	rings   []relay.Ring
	calls   int // of Ring, begun
	parts   int // calls of Ring, ended
	missed  int
	changed []relay.ID
	asked   int           // for a sweep, by hints
	block   chan struct{} // if not nil, Ring waits until it is closed
}

// Ring implements sink.
func (r *recorder) Ring(rings []relay.Ring) {
	r.mu.Lock()
	block := r.block
	r.calls++
	r.mu.Unlock()
	if block != nil {
		<-block
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rings = append(r.rings, rings...)
	r.parts++
}

// Missed implements sink.
func (r *recorder) Missed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missed++
}

// Changed implements sink.
func (r *recorder) Changed(_ uint32, ids []relay.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(ids) == 0 {
		r.asked++
	}
	r.changed = append(r.changed, ids...)
	return true
}

// keys returns the keys rung so far, with commas between.
func (r *recorder) keys() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := make([]string, len(r.rings))
	for i, ring := range r.rings {
		keys[i] = ring.Key
	}
	return strings.Join(keys, ",")
}

func (r *recorder) count() (rings, missed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.rings), r.missed
}

// bench is a database with an outbox and a stream that rings for a recorder.
type bench struct {
	t   *testing.T
	db  *harness.DB
	rec *recorder
	log *lockedLog
	cfg Config
}

// lockedLog collects a log.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newBench prepares a stream on the shared PostgreSQL 15.
func newBench(t *testing.T) *bench { return newBenchOn(t, harness.Database(t)) }

// newBenchOwn prepares a stream on a server of the test's own.
func newBenchOwn(t *testing.T, settings map[string]string) *bench {
	all := map[string]string{"fsync": "off"}
	for name, value := range settings {
		all[name] = value
	}
	server := harness.Postgres(t, throwaway.PostgresConfig{Settings: all})
	return newBenchOn(t, harness.NewDatabase(t, server))
}

func newBenchOn(t *testing.T, db *harness.DB) *bench {
	t.Helper()
	conn, err := pgx.ParseConfig(db.URL)
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedLog{}
	b := &bench{t: t, db: db, rec: &recorder{}, log: log, cfg: Config{
		Conn:           conn,
		Slot:           "slot_" + db.Name, // slots are the whole server's
		HeartbeatEvery: 100 * time.Millisecond,
		Log:            slog.New(slog.NewTextHandler(log, nil)),
	}}
	b.relay(makeOutbox)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return b
}

// running is a stream that runs, and how to stop it.
type running struct {
	*Stream
	stop func()
}

// run starts a stream and stops it at the end of the test, if not before.
func (b *bench) run() running {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := New(b.cfg, b.rec)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				b.t.Errorf("Run returned %v", err)
			}
		case <-time.After(15 * time.Second):
			b.t.Error("Run did not end")
		}
	})
	b.t.Cleanup(stop)
	return running{Stream: s, stop: stop}
}

// streaming starts a stream and waits until it is one.
func (b *bench) streaming() running {
	b.t.Helper()
	r := b.run()
	b.until(r, "streaming")
	return r
}

// until waits for a state whose line contains text.
func (b *bench) until(r running, text string) {
	b.t.Helper()
	var last string
	defer func() {
		if b.t.Failed() {
			b.t.Logf("last state: %s", last)
		}
	}()
	harness.Eventually(b.t, 20*time.Second, "state "+text, func() bool {
		last = r.State().String()
		return strings.Contains(last, text)
	})
}

// heard waits until exactly these keys have been rung, in this order.
func (b *bench) heard(keys string) {
	b.t.Helper()
	var last string
	defer func() {
		if b.t.Failed() {
			b.t.Logf("heard %.200q", last)
		}
	}()
	harness.Eventually(b.t, 10*time.Second, "heard "+keys, func() bool {
		last = b.rec.keys()
		return last == keys
	})
}

func (b *bench) forget() {
	b.rec.mu.Lock()
	defer b.rec.mu.Unlock()
	b.rec.rings, b.rec.parts, b.rec.missed, b.rec.changed, b.rec.asked = nil, 0, 0, nil, 0
}

// relay runs SQL as the relay's role, admin as the superuser, insert as the application.
func (b *bench) relay(sql string) { b.exec(b.db.URL, sql) }
func (b *bench) admin(sql string) { b.exec(b.db.AdminURL, sql) }
func (b *bench) insert(key string) {
	b.exec(b.db.AppURL, fmt.Sprintf("insert into relay.outbox (key) values ('%s')", key))
}

// exec runs SQL, several statements perhaps, on a connection of its own.
func (b *bench) exec(url, sql string) {
	b.t.Helper()
	conn := b.connect(url)
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

func (b *bench) connect(url string) *pgx.Conn {
	b.t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// ask returns one text value, asked as the superuser.
func (b *bench) ask(sql string, args ...any) string {
	b.t.Helper()
	conn := b.connect(b.db.AdminURL)
	defer conn.Close(context.Background())
	var value string
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(&value); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	return value
}
