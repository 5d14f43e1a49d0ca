package cdc

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
	"relay/throwaway"
)

func TestStreamRingsOnEveryVersion(t *testing.T) {
	t.Parallel()
	for major := throwaway.OldestPostgres; major <= throwaway.NewestPostgres; major++ {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			b := newBenchOn(t, harness.DatabaseOn(t, major))
			r := b.streaming()
			b.insert("a")
			b.insert("b")
			b.heard("a,b")
			if _, missed := b.rec.count(); missed != 1 {
				t.Errorf("Missed was called %d times, want once at the start", missed)
			}
			harness.Eventually(t, 10*time.Second, "a heartbeat came back", func() bool {
				return !r.State().HeardAt.IsZero() && r.State().ConfirmedLag >= 0
			})
			r.stop()
			b.insert("c")
			b.streaming()
			b.heard("a,b,c")
			failover := b.ask("select coalesce(to_jsonb(s) ->> 'failover', 'none') from pg_replication_slots s where slot_name = $1", b.cfg.Slot)
			if want := map[bool]string{false: "none", true: "true"}[major >= 17]; failover != want {
				t.Errorf("slot's failover is %s, want %s", failover, want)
			}
		})
	}
}

func TestRingCarriesTheRow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.streaming()
	b.relay(`insert into relay.outbox (id, key, deliver_at, payload) values
		('018f0000-0000-7000-8000-00000000abcd', 'Käse, "x"', '2031-02-03 04:05:06.789+02', 'secret'),
		(default, null, 'infinity', null), (default, null, null, null)`)
	harness.Eventually(t, 10*time.Second, "three rings", func() bool { n, _ := b.rec.count(); return n == 3 })
	first, second, third := b.rec.rings[0], b.rec.rings[1], b.rec.rings[2]
	if first.ID.String() != "018f0000-0000-7000-8000-00000000abcd" || first.Key != `Käse, "x"` ||
		!first.DeliverAt.Equal(time.Date(2031, 2, 3, 2, 5, 6, 789e6, time.UTC)) {
		t.Errorf("first ring %+v", first)
	}
	if second.Key != "" || second.DeliverAt.Year() != 9999 {
		t.Errorf("second ring %+v", second)
	}
	if !third.DeliverAt.IsZero() {
		t.Errorf("third ring %+v", third)
	}
}

func TestRolledBackIsNeverRung(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.streaming()
	b.relay(`begin; insert into relay.outbox (key) values ('rolled back'); rollback`)
	b.relay(`begin; insert into relay.outbox (key) values ('1');
		savepoint s; insert into relay.outbox (key) values ('savepoint'); rollback to s;
		insert into relay.outbox (key) values ('2'); commit`)
	gid := b.db.Name
	b.relay(fmt.Sprintf(`begin; insert into relay.outbox (key) values ('never'); prepare transaction '%s no'`, gid))
	b.relay(fmt.Sprintf(`begin; insert into relay.outbox (key) values ('3'); prepare transaction '%s yes'`, gid))
	b.insert("4")
	b.heard("1,2,4")
	b.relay(fmt.Sprintf("commit prepared '%s yes'", gid))
	b.relay(fmt.Sprintf("rollback prepared '%s no'", gid))
	b.insert("5")
	b.heard("1,2,4,3,5")
}

func TestCopyIsRung(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.streaming()
	b.admin(`copy relay.outbox (key) from program 'printf "a\nb\nc\n"'`)
	b.heard("a,b,c")
}

func TestLargeTransactionComesInParts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.streaming()
	b.relay(`insert into relay.outbox (key) select i::text from generate_series(1, 100000) i`)
	harness.Eventually(t, 30*time.Second, "100,000 rings", func() bool { n, _ := b.rec.count(); return n == 100_000 })
	if b.rec.parts != 100 {
		t.Errorf("%d parts, want 100", b.rec.parts)
	}
	for i, ring := range b.rec.rings {
		if ring.Key != strconv.Itoa(i+1) {
			t.Fatalf("ring %d is of row %s", i, ring.Key)
		}
	}
	r.stop()
	b.forget()
	b.streaming()
	b.insert("next")
	b.heard("next")
}

func TestStopConfirmsTheLastPosition(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 5 {
		r := b.streaming()
		first, second := fmt.Sprintf("%d", i), fmt.Sprintf("%d again", i)
		b.insert(first)
		b.heard(first)
		b.insert(second)
		b.heard(first + "," + second)
		r.stop() // before another status was due
		if st := r.State(); st.Streaming || st.Why != "stopped" {
			t.Errorf("state after the stop: %s", st)
		}
		b.forget()
	}
}

// A row that a savepoint inserted belongs to the transaction of the top level, which is the one that snapshots know.
func TestRingsTellTheTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.streaming()
	for _, end := range []string{"commit", "prepare transaction '" + b.db.Name + "'; commit prepared '" + b.db.Name + "'"} {
		b.forget()
		app := b.connect(b.db.AppURL)
		var xid uint32
		if _, err := app.Exec(t.Context(), "begin"); err != nil {
			t.Fatal(err)
		}
		if err := app.QueryRow(t.Context(), "select pg_current_xact_id()::text::bigint & 4294967295").Scan(&xid); err != nil {
			t.Fatal(err)
		}
		statements := "insert into relay.outbox (key) values ('a'); savepoint s; insert into relay.outbox (key) values ('b'); " + end
		for statement := range strings.SplitSeq(statements, "; ") {
			if _, err := app.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		b.heard("a,b")
		b.rec.mu.Lock()
		rings := b.rec.rings
		b.rec.mu.Unlock()
		for _, ring := range rings {
			if ring.Xid != xid || xid == 0 {
				t.Errorf("after %s: ring %s tells transaction %d, want %d", end, ring.Key, ring.Xid, xid)
			}
		}
	}
}
