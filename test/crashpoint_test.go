package test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/crash"
	"relay/test/checker"
	"relay/test/harness"
	"relay/throwaway"
)

// crashCase says at which mark a relay dies, and how many duplicates that may cost: as many
// as it had sent and not yet written.
type crashCase struct {
	at string
	// duplicates is the bound where it is certain; -1 means exactly what was received by the time
	// of the death and stands unwritten in the table.
	duplicates int
}

// Before sending nothing can be a duplicate, nor when everything is written. In between it
// is what is in flight: HTTP attempts are made one at a time here, so that the first one
// that was sent is the only one.
var crashCases = []crashCase{
	{crash.AfterRegister, 0},
	{crash.AfterRegister + ":3", -1},
	{crash.AfterRead, 0},
	{crash.AfterRead + ":3", -1},
	{crash.BeforeSend, 0},
	{crash.BeforeSend + ":10", -1},
	{crash.AfterSend, 1},
	{crash.AfterSend + ":10", -1},
	{crash.AfterAnswer, 1},
	{crash.AfterAnswer + ":10", -1},
	{crash.BeforeWrite, -1},
	{crash.BeforeWrite + ":3", -1},
	{crash.AfterWrite, -1},
	{crash.AfterWrite + ":3", -1},
	{crash.BeforeUnregister, -1},
	{crash.BeforeUnregister + ":3", -1},
	{crash.SlotMade, -1},
	{crash.LeaseRenewing, 0},
	{crash.LeaseRenewing + ":2", -1},
	{crash.LeaseRenewed, 0},
	{crash.LeaseRenewed + ":2", -1},
}

func TestARelayMayDieAnywhere(t *testing.T) {
	t.Parallel()
	for _, c := range crashCases {
		t.Run(c.at, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func (c crashCase) run(t *testing.T) {
	s := &system{db: migrated.Database(t), receiver: newReceiver(t, nil)}
	s.app, s.admin = s.db.App(t), s.db.Admin(t)
	env := []string{"RELAY_DEFAULT_DESTINATION=" + s.receiver.URL, "RELAY_LEASE_TTL=1s", "RELAY_HTTP_CONCURRENCY=1"}
	tr := newTraffic(t, s, 2, 2*time.Millisecond)
	begun := time.Now()
	launchDoomed(t, s.db, c.at, env...).waitKilled(t)
	tr.interrupted(c.at, begun)
	rows := s.rowsAtDeath(t)
	inFlight := 0
	for _, r := range s.receiver.receipts() {
		if rows[r.ID].Finished.IsZero() {
			inFlight++
		}
	}
	start(t, s.db, env...)
	already := s.receiver.distinct()
	harness.Eventually(t, 30*time.Second, "the next relay delivers", func() bool { return s.receiver.distinct() > already+20 })
	v := tr.judge(t, s.admin, time.Minute, s.receiver.receipts)
	bound := c.duplicates
	if bound < 0 {
		bound = inFlight
	}
	if v.Duplicates > bound {
		t.Errorf("%d duplicates, the bound is %d", v.Duplicates, bound)
	}
	s.onlyUnwrittenTwice(t, rows)
}

// launchDoomed starts a relay that will kill itself at a mark.
func launchDoomed(t testing.TB, db *harness.DB, at string, env ...string) *process {
	t.Helper()
	return launchBinary(t, harness.Build(t, "relay/cmd/relay", "crashpoints"), db, append(env, crash.Variable+"="+at)...)
}

// waitKilled waits until the process has died by SIGKILL.
func (p *process) waitKilled(t testing.TB) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		t.Fatalf("the relay did not reach the mark\n%s", p.log.excerpt())
	}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the relay ended with %v\n%s", p.err, p.log.excerpt())
	}
}

// rowsAtDeath returns the table as a dead relay has left it: its last statement may still
// be under way.
func (s *system) rowsAtDeath(t testing.TB) map[string]checker.Row {
	t.Helper()
	harness.Eventually(t, 10*time.Second, "the dead relay's sessions end", func() bool {
		return s.text(t, "select count(*)::text from pg_stat_activity where datname = current_database() and usename = 'relay'") == "0"
	})
	rows, err := checker.ReadRows(t.Context(), s.admin)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// onlyUnwrittenTwice holds that what came twice was there at the death and not written.
func (s *system) onlyUnwrittenTwice(t testing.TB, rows map[string]checker.Row) {
	t.Helper()
	for _, id := range s.receiver.repeated() {
		if row, there := rows[id]; !there || !row.Finished.IsZero() {
			t.Errorf("%s came twice, and was not in flight at the death", id)
		}
	}
}

// Over AMQP many messages are on their way at once, and the broker may have stored one
// whose confirm the relay does not live to see.
func TestARelayMayDieBetweenPublishingAndItsConfirm(t *testing.T) {
	t.Parallel()
	for _, at := range []string{crash.AfterSend, crash.AfterSend + ":50", crash.AfterAnswer + ":50", crash.BeforeWrite + ":3", crash.AfterWrite + ":3"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			url := harness.AMQPURL(t)
			b := newBroker(t, url)
			b.queue(t, "all", "", "")
			s := &system{db: migrated.Database(t), receiver: newReceiver(t, nil)}
			s.app, s.admin = s.db.App(t), s.db.Admin(t)
			env := []string{"RELAY_AMQP_URL=" + url, "RELAY_DEFAULT_DESTINATION=amqp:/all", "RELAY_LEASE_TTL=1s"}
			tr := newTraffic(t, s, 2, 2*time.Millisecond)
			launchDoomed(t, s.db, at, env...).waitKilled(t)
			tr.interrupted(at, time.Time{})
			rows := s.rowsAtDeath(t)
			start(t, s.db, env...)
			harness.Eventually(t, 30*time.Second, "the next relay delivers", func() bool {
				return s.text(t, "select (count(*) > $1)::text from relay.outbox where status = 'done'", len(rows)) == "true"
			})
			tr.end()
			s.settled(t, time.Minute)
			s.receiver.accept(b.stored(t, "all"))
			tr.verify(t, s, time.Minute)
			s.onlyUnwrittenTwice(t, rows)
		})
	}
}

// stored takes what a queue holds.
func (b *broker) stored(t testing.TB, queue string) (ids []string) {
	t.Helper()
	for {
		d, there, err := b.channel.Get(queue, true)
		if err != nil {
			t.Fatal(err)
		}
		if !there {
			return ids
		}
		ids = append(ids, d.MessageId)
	}
}

// A slot that is being made waits for every writing transaction. A relay that dies
// meanwhile leaves half a slot behind; the next one delivers without, and replaces it when
// the transaction has ended.
func TestARelayMayDieWhileTheSlotIsMade(t *testing.T) {
	t.Parallel()
	server := harness.Postgres(t, throwaway.PostgresConfig{})
	s := &system{db: harness.NewDatabase(t, server), receiver: newReceiver(t, nil)}
	prepare(t, s.db)
	s.app, s.admin = s.db.App(t), s.db.Admin(t)
	open := holdTransaction(t, s.db)
	to := "RELAY_DEFAULT_DESTINATION=" + s.receiver.URL
	tr := newTraffic(t, s, 2, 2*time.Millisecond)
	launchDoomed(t, s.db, crash.SlotMaking, to).waitKilled(t)
	tr.interrupted(crash.SlotMaking, time.Now())
	next := launch(t, s.db, to, "RELAY_LEASE_TTL=1s")
	harness.Eventually(t, 30*time.Second, "the next relay delivers without a stream", func() bool { return s.receiver.distinct() > 100 })
	if _, body := get(t, "http://"+next.metrics+"/readyz"); strings.Contains(body, "stream: ok") {
		t.Error("there is a stream although the transaction is open")
	}
	if err := open.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	next.waitReady()
	tr.verify(t, s, time.Minute)
}

// holdTransaction opens a transaction that has written, and rolls it back at the end.
func holdTransaction(t testing.TB, db *harness.DB) pgx.Tx {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, db.AppURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	tx, err := conn.Begin(ctx)
	if err == nil {
		_, err = tx.Exec(ctx, "insert into relay.outbox (topic) values ('held open')")
	}
	if err != nil {
		t.Fatal(fmt.Errorf("hold a transaction open: %w", err))
	}
	return tx
}
