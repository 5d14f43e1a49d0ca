package test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"relay/test/checker"
	"relay/test/harness"
)

// toHTTP is the name of a system's receiver in the journals.
const toHTTP = "http"

// transaction is what a producer does at once.
type transaction struct {
	messages    []checker.Message
	destination string        // of all; empty: none of their own
	delay       time.Duration // until they are due
	rollback    bool
	async       bool // COMMIT does not wait for the disk
}

// traffic makes transactions until it is stopped and keeps the journal of how each ended. A
// database that is away costs it attempts, nothing else.
type traffic struct {
	app     *pgxpool.Pool
	journal *checker.Journal
	path    string
	next    func(worker, n int) transaction
	stop    context.CancelFunc
	done    sync.WaitGroup
	broken  chan error // receives the first failure of the journal itself

	mu            sync.Mutex
	interruptions []checker.Interruption
}

// orders are transactions of one message to the system's receiver, every fourth rolled back.
func orders(_, n int) transaction {
	return transaction{messages: []checker.Message{{Topic: "order.created", To: toHTTP}}, rollback: n%4 == 3}
}

// newTraffic starts the given number of sessions that send orders, with a pause after each transaction.
func newTraffic(t testing.TB, s *system, sessions int, pause time.Duration) *traffic {
	t.Helper()
	return startTraffic(t, s.app, sessions, pause, orders)
}

// startTraffic is newTraffic for other transactions.
func startTraffic(t testing.TB, app *pgxpool.Pool, sessions int, pause time.Duration, next func(worker, n int) transaction) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	tr := &traffic{app: app, path: filepath.Join(t.TempDir(), "journal"), next: next, stop: cancel, broken: make(chan error, 1)}
	var err error
	if tr.journal, err = checker.NewJournal(tr.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.end(); tr.journal.Close() })
	for worker := range sessions {
		tr.done.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := tr.one(context.WithoutCancel(ctx), next(worker, n)); err != nil {
					select {
					case tr.broken <- err:
					default:
					}
				}
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	return tr
}

// one makes one transaction. Its error is the journal's; what becomes of the transaction
// stands there.
func (tr *traffic) one(ctx context.Context, do transaction) error {
	tx, err := tr.app.Begin(ctx)
	if err != nil {
		return nil
	}
	defer tx.Rollback(ctx)
	if insertAll(ctx, tx, do) != nil {
		return nil
	}
	if err := tr.journal.Begin(do.messages...); err != nil {
		return err
	}
	if do.rollback {
		_ = tx.Rollback(ctx) // whatever it returns, no COMMIT was ever issued
		return tr.journal.End(checker.RolledBack, do.messages...)
	}
	if tx.Commit(ctx) != nil || do.async {
		return nil // unknown
	}
	return tr.journal.End(checker.Committed, do.messages...)
}

func insertAll(ctx context.Context, tx pgx.Tx, do transaction) error {
	if do.async {
		if _, err := tx.Exec(ctx, "set local synchronous_commit = off"); err != nil {
			return err
		}
	}
	for i := range do.messages {
		m := &do.messages[i]
		err := tx.QueryRow(ctx, `insert into relay.outbox (topic, key, payload, destination, deliver_at)
			values ($1, nullif($2, ''), '{"some": "order"}', nullif($3, ''), clock_timestamp() + nullif($4::bigint, 0) * interval '1 microsecond')
			returning id::text`, m.Topic, m.Key, do.destination, do.delay.Microseconds()).Scan(&m.ID)
		if err != nil {
			return err
		}
	}
	return nil
}

func (tr *traffic) end() { tr.stop(); tr.done.Wait() }

// interrupted notes that outcomes may have become unknown from then until a second from
// now: what was on its way to a receiver may be noted there a little later.
func (tr *traffic) interrupted(what string, from time.Time) {
	tr.met(checker.Interruption{What: what, From: from, To: time.Now().Add(time.Second)})
}

func (tr *traffic) met(i checker.Interruption) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.interruptions = append(tr.interruptions, i)
}

// verify judges by what the system's receiver has accepted.
func (tr *traffic) verify(t testing.TB, s *system, within time.Duration) {
	t.Helper()
	tr.judge(t, s.admin, within, s.receiver.receipts)
}

// judge stops the traffic, waits until the system has come to rest, and states what is
// lost, phantom or a duplicate that nothing explains.
func (tr *traffic) judge(t testing.TB, admin *pgxpool.Pool, within time.Duration, received func() []checker.Receipt) checker.Verdict {
	t.Helper()
	tr.end()
	select {
	case err := <-tr.broken:
		t.Fatal(err)
	default:
	}
	settled(t, admin, within)
	v := checker.Judge(tr.evidence(t, admin, received()))
	t.Log(v)
	if err := v.Err(); err != nil {
		t.Error(err)
	}
	return v
}

func (tr *traffic) evidence(t testing.TB, admin *pgxpool.Pool, received []checker.Receipt) checker.Evidence {
	t.Helper()
	file, err := os.Open(tr.path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sent, err := checker.ReadJournal(file)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := checker.ReadRows(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	return checker.Evidence{Sent: sent, Received: received, Rows: rows, Interruptions: tr.interruptions}
}

// settled waits until nothing is pending, open or due. It says what is left if that takes
// too long.
func settled(t testing.TB, admin *pgxpool.Pool, within time.Duration) {
	t.Helper()
	var last string
	defer func() {
		if t.Failed() {
			t.Log("still to be done: ", last)
		}
	}()
	harness.AsLongAsItMoves(t, within, "the system comes to rest", func() (bool, int) {
		u, err := checker.ReadUnrest(t.Context(), admin)
		if last = fmt.Sprint(u, " ", err); err != nil {
			return false, math.MaxInt
		}
		return u == checker.Unrest{}, u.Pending + u.Open
	})
}
