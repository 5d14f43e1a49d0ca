package cdc

import (
	"testing"
	"time"

	"relay/test/harness"
)

func TestPosition(t *testing.T) {
	t.Parallel()
	var p position
	p.keepalive(10, false)
	if p.safe != 10 {
		t.Errorf("a keepalive while nothing is under way: %d, want 10", p.safe)
	}
	p.begin()
	p.keepalive(20, false)
	if p.safe != 10 {
		t.Errorf("a keepalive within a transaction was taken: %d, want 10", p.safe)
	}
	p.commit(15)
	if p.safe != 15 {
		t.Errorf("a commit: %d, want 15", p.safe)
	}
	p.keepalive(12, false)
	if p.safe != 15 {
		t.Errorf("a keepalive from before: %d, want 15", p.safe)
	}
}

func TestPositionIsToldInTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := position{toldAt: now, told: 10, safe: 10, idle: time.Minute}
	if due := p.due().Sub(now); due != time.Minute {
		t.Errorf("nothing new: due after %s", due)
	}
	p.keepalive(20, false)
	if due := p.due().Sub(now); due != confirmEvery {
		t.Errorf("something new: due after %s", due)
	}
	p.keepalive(20, true)
	if due := p.due().Sub(now); due != 0 {
		t.Errorf("asked for: due after %s", due)
	}
}

// advances reports whether the slot gets to where the WAL ends now.
func (b *bench) advances() func() bool {
	end := b.ask("select pg_current_wal_lsn()::text")
	return func() bool {
		return b.ask("select (confirmed_flush_lsn >= $1::pg_lsn)::text from pg_replication_slots where slot_name = $2", end, b.cfg.Slot) == "true"
	}
}

// TestIdleOutboxInABusyDatabase is about keepalives that ask for no answer: writes to
// other tables give only such, and with wal_sender_timeout=0 there are no others.
func TestIdleOutboxInABusyDatabase(t *testing.T) {
	t.Parallel()
	b := newBenchOwn(t, map[string]string{"wal_sender_timeout": "0"})
	b.cfg.HeartbeatEvery = time.Hour
	b.streaming()
	b.relay("create table relay.noise (n int)")
	for range 5 {
		b.relay("insert into relay.noise select generate_series(1, 10000)")
		harness.Eventually(t, 3*time.Second, "the slot follows", b.advances())
	}
}

func TestIdleDatabaseAdvancesByHeartbeats(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.streaming()
	var first time.Time
	harness.Eventually(t, 5*time.Second, "a heartbeat comes back", func() bool {
		first = r.State().HeardAt
		return !first.IsZero()
	})
	harness.Eventually(t, 5*time.Second, "another comes back", func() bool { return r.State().HeardAt.After(first) })
	harness.Eventually(t, 5*time.Second, "the slot follows", b.advances())
}

func TestProgressIsNotToldTooOften(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.HeartbeatEvery = time.Hour
	r := b.streaming()
	began := time.Now()
	b.relay(`do $$ begin for i in 1..2000 loop insert into relay.outbox (key) values (i); commit; end loop; end $$`)
	harness.Eventually(t, 20*time.Second, "2,000 rings", func() bool { n, _ := b.rec.count(); return n == 2000 })
	most := time.Since(began)/confirmEvery + 5
	if told := value(r.metrics.statuses); told > float64(most) {
		t.Errorf("the position was told %v times in %s, want %d at most", told, time.Since(began), most)
	}
}

func TestMidTransactionIsNotConfirmed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.streaming()
	release := b.blockSink()
	b.insert("a")
	harness.Eventually(t, 5*time.Second, "the status while the sink is busy", func() bool {
		return value(r.metrics.statuses) >= 2
	})
	after := b.advances()
	if after() {
		t.Error("confirmed beyond rows that the sink has not registered")
	}
	release()
	b.heard("a")
	harness.Eventually(t, 5*time.Second, "the slot follows", after)
	if _, missed := b.rec.count(); missed != 1 {
		t.Errorf("the stream was lost: %s", r.State())
	}
}
