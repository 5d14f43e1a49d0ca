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
	// duplicates is the bound where it is certain; -1: what was received by the time of the
	// death and stands unwritten in the table, exactly.
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
	s := &system{db: harness.Database(t), receiver: newReceiver(t, nil)}
	prepare(t, s.db)
	s.app, s.admin = s.db.App(t), s.db.Admin(t)
	env := []string{"RELAY_DEFAULT_DESTINATION=" + s.receiver.URL, "RELAY_LEASE_TTL=1s", "RELAY_HTTP_CONCURRENCY=1"}
	tr := newTraffic(t, s, 2, 2*time.Millisecond)
	begun := time.Now()
	p := launchDoomed(t, s.db, c.at, env...)
	p.waitKilled(t)
	inFlight := s.inFlight(t)
	tr.interrupted(c.at, begun)
	start(t, s.db, env...)
	harness.Eventually(t, 30*time.Second, "the next relay delivers", func() bool { return s.receiver.distinct() > len(inFlight)+20 })
	v := tr.judge(t, s.admin, time.Minute, s.receiver.receipts)
	bound := c.duplicates
	if bound < 0 {
		bound = len(inFlight)
	}
	if v.Duplicates > bound {
		t.Errorf("%d duplicates, the bound is %d", v.Duplicates, bound)
	}
	for _, d := range s.receiver.repeated() {
		if !inFlight[d] {
			t.Errorf("%s was received twice, and was not in flight at the death", d)
		}
	}
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
		t.Fatalf("the relay did not reach the mark\n%s", p.log)
	}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the relay ended with %v\n%s", p.err, p.log)
	}
}

// inFlight returns the messages that were accepted and whose outcome is not written. No
// relay runs; the last statement of the dead one may still be under way.
func (s *system) inFlight(t testing.TB) map[string]bool {
	t.Helper()
	harness.Eventually(t, 10*time.Second, "the dead relay's sessions end", func() bool {
		return s.text(t, "select count(*)::text from pg_stat_activity where datname = current_database() and usename = 'relay'") == "0"
	})
	rows, err := checker.ReadRows(t.Context(), s.admin)
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[string]bool)
	for _, r := range s.receiver.receipts() {
		if row, there := rows[r.ID]; !there || row.Finished.IsZero() {
			left[r.ID] = true
		}
	}
	return left
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
