package cdc

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"relay/test/harness"
)

func TestSlotDroppedInMidStream(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.streaming()
	b.insert("a")
	b.heard("a")
	// Between the two the stream may come back, hence the loop.
	b.admin(fmt.Sprintf(`do $$ begin loop begin
		perform pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = '%[1]s';
		perform pg_drop_replication_slot('%[1]s');
		exit;
	exception when object_in_use then null; end; end loop; end $$`, b.cfg.Slot))
	harness.Eventually(t, 20*time.Second, "a new slot is made", func() bool {
		return strings.Count(b.log.String(), "slot made") == 2
	})
	b.until(r, "streaming")
	b.insert("b")
	harness.Eventually(t, 10*time.Second, "b is heard", func() bool { return strings.HasSuffix(b.rec.keys(), "b") })
}

func TestSlotOfSomebodyElseIsTrouble(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.admin(fmt.Sprintf("select pg_create_physical_replication_slot('%s')", b.cfg.Slot))
	r := b.run()
	b.until(r, "is a physical slot, and the relay needs one of pgoutput in this database; to mend it: set RELAY_SLOT")
	b.admin(fmt.Sprintf(`select pg_drop_replication_slot('%[1]s'); `, b.cfg.Slot))
	b.until(r, "streaming")
}

func TestSlotOfAnotherDatabaseIsTrouble(t *testing.T) {
	t.Parallel()
	b, other := newBench(t), newBench(t)
	b.cfg.Slot = other.cfg.Slot
	other.streaming()
	b.until(b.run(), "is a slot of plugin pgoutput in database "+other.db.Name)
}

// hold takes the slot and neither reads nor answers, like a relay whose host has frozen.
func (b *bench) hold() *pgconn.PgConn {
	b.t.Helper()
	conn, err := connectReplication(context.Background(), b.cfg.Conn, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { closeReplication(conn) })
	err = pglogrepl.StartReplication(context.Background(), conn, b.cfg.Slot, 0, pglogrepl.StartReplicationOptions{
		Mode:       pglogrepl.LogicalReplication,
		PluginArgs: []string{"proto_version '1'", "publication_names 'relay'"},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return conn
}

func TestSlotHeldIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.streaming().stop()
	holder := b.hold()
	r := b.run()
	b.until(r, fmt.Sprintf("slot %q is held by pid %d (relay, relay); to mend it: select pg_terminate_backend(%[2]d)",
		b.cfg.Slot, holder.PID()))
	harness.Eventually(t, 10*time.Second, "several attempts", func() bool { return r.State().Failures >= 3 })
	if n := strings.Count(b.log.String(), "is held by"); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
	closeReplication(holder)
	b.until(r, "streaming")
}

func TestSlotHeldIsStolen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.streaming().stop()
	b.hold()
	b.cfg.Steal = true
	b.streaming()
	b.insert("a")
	b.heard("a")
}

func TestSlotMakingWaitsForTransactions(t *testing.T) {
	t.Parallel()
	b := newBenchOwn(t, map[string]string{"max_prepared_transactions": "5"})
	writer := b.connect(b.db.AppURL)
	if _, err := writer.Exec(t.Context(), "begin"); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Exec(t.Context(), "insert into relay.outbox (key) values ('open')"); err != nil {
		t.Fatal(err)
	}
	waits := fmt.Sprintf("waits for the open transaction of pid %d (app, ", writer.PgConn().PID())
	r := b.run()
	b.until(r, waits)
	r.stop() // in the midst of it
	if left := b.ask("select count(*)::text from pg_replication_slots"); left != "0" {
		t.Errorf("%s slots are left of a making that was cancelled", left)
	}
	r = b.run()
	b.until(r, waits)
	b.relay("begin; insert into relay.outbox (key) values ('prepared'); prepare transaction 'it''s mine'")
	if _, err := writer.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	b.until(r, "waits for prepared transaction 'it's mine' (relay, xid ")
	b.until(r, "to mend it: commit prepared 'it''s mine'; or rollback prepared 'it''s mine'")
	b.relay("commit prepared 'it''s mine'")
	b.until(r, "streaming")
	b.insert("a")
	b.heard("a")
}

func TestSlotIsLost(t *testing.T) {
	t.Parallel()
	b := newBenchOwn(t, map[string]string{"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"})
	lose := func() {
		b.admin("create table filler (t text); drop table filler; select pg_switch_wal(); " +
			"create table filler (t text); drop table filler; select pg_switch_wal(); checkpoint")
	}
	b.streaming().stop()
	lose()
	status := "select wal_status from pg_replication_slots where slot_name = $1"
	if got := b.ask(status, b.cfg.Slot); got != "lost" {
		t.Fatalf("the slot is %s, want lost", got)
	}
	b.streaming()
	b.insert("a")
	b.heard("a")

	// An active slot that is caught up is lost too, if another session's transaction stays open.
	again := b.missedAgain(1)
	writer := b.connect(b.db.AdminURL)
	if _, err := writer.Exec(t.Context(), "begin; create table mine (n int)"); err != nil {
		t.Fatal(err)
	}
	replaced := func() bool { return strings.Count(b.log.String(), "slot is replaced") == 2 }
	for range 100 {
		if lose(); replaced() {
			break
		}
	}
	harness.Eventually(t, 10*time.Second, "the slot is lost", replaced)
	if _, err := writer.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, "the stream is back", again)
	b.insert("b")
	b.heard("a,b")
}

func TestSlotThatNeverGetsOnIsReplaced(t *testing.T) {
	t.Parallel()
	s := New(newBench(t).cfg, &recorder{})
	err := fmt.Errorf("read the stream: %w", &pgconn.PgError{Code: "XX000", Severity: "ERROR", SeverityUnlocalized: "ERROR"})
	for _, told := range []pglogrepl.LSN{1, 2, 2} {
		if s.judge(err, true, told); s.replace != "" {
			t.Fatalf("replaced at %s", told)
		}
	}
	if s.judge(err, true, 2); s.replace == "" {
		t.Error("not replaced after three sessions in vain")
	}
}
