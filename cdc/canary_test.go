package cdc

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"relay"
	"relay/test/harness"
)

// blindfolded has the stream connect through what can make it blind.
func (b *bench) blindfolded() *harness.Blindfold {
	b.t.Helper()
	fold := harness.NewBlindfold(b.t, net.JoinHostPort("127.0.0.1", strconv.Itoa(b.db.Server.Port())))
	host, port, _ := net.SplitHostPort(fold.Addr)
	n, err := strconv.Atoi(port)
	if err != nil {
		b.t.Fatal(err)
	}
	b.cfg.Conn.Host, b.cfg.Conn.Port, b.cfg.Conn.Fallbacks = host, uint16(n), nil
	return fold
}

const suspected = "the stream seems to be blind and is rebuilt"

func TestAStreamThatDoesNotShowTheCanaryIsRebuilt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	fold := b.blindfolded()
	r := b.streaming()
	again := b.missedAgain(1)
	fold.On.Store(true)
	harness.Eventually(t, 20*time.Second, "the stream is suspected", func() bool { return strings.Contains(b.log.String(), suspected) })
	harness.Eventually(t, 20*time.Second, "the stream is back", again)
	if !strings.Contains(b.log.String(), "slot is replaced") {
		t.Error("the slot is the old one")
	}
	b.until(r, "streaming")
	session, beats := r.State().Since, value(r.metrics.heartbeats)
	harness.Eventually(t, 20*time.Second, "five canaries more are not shown", func() bool { return value(r.metrics.heartbeats) > beats+5 })
	if r.State().Since != session || strings.Count(b.log.String(), suspected) != 1 {
		t.Error("it is rebuilt twice within minutes")
	}
	if heard := r.State().HeardAt; !heard.IsZero() {
		t.Errorf("a heartbeat counts as heard without its canary, at %s", heard)
	}
	fold.On.Store(false)
	harness.Eventually(t, 5*time.Second, "a heartbeat comes back", func() bool { return !r.State().HeardAt.IsZero() })
	b.insert("a")
	b.heard("a")
}

func TestCanariesRingForNothingAndLeaveNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.streaming()
	harness.Eventually(t, 20*time.Second, "ten canaries have come", func() bool { return value(r.metrics.heartbeats) > 10 })
	if seen := b.ask("select count(*)::text from relay.outbox"); seen != "0" {
		t.Errorf("%s canaries are in the table", seen)
	}
	if inserted := b.ask("select (max(seq) > 0)::text from (select nextval('relay.outbox_seq_seq') - 1 as seq) s"); inserted != "true" {
		t.Error("no canary was inserted")
	}
	if n, _ := b.rec.count(); n != 0 || value(r.metrics.transactions) != 0 {
		t.Errorf("%d rings, %v transactions", n, value(r.metrics.transactions))
	}
}

// Whatever keeps the canary out of the table proves nothing about the stream, and the slot advances without.
func TestACanaryThatCannotBeInsertedConvictsNothing(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]string{
		"raises":   "raise exception 'no'; return new;",
		"drops it": "return null;",
		"renames":  "new.id := gen_random_uuid(); return new;",
		"sleeps":   "perform pg_sleep(600); return new;",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.admin("create function hinder() returns trigger language plpgsql as $$ begin if new.topic <> 'relay.canary' then return new; end if; " +
				what + " end $$; create trigger hinder before insert on relay.outbox for each row execute function hinder()")
			r := b.streaming()
			harness.Eventually(t, 20*time.Second, "two heartbeats come back", func() bool {
				return value(r.metrics.heartbeats) > 2 && !r.State().HeardAt.IsZero()
			})
			harness.Eventually(t, 20*time.Second, "the slot follows", b.advances())
			if strings.Contains(b.log.String(), suspected) {
				t.Error("the stream is suspected")
			}
			if !strings.Contains(b.log.String(), "insert a canary") {
				t.Error("the log does not report that the canary could not be inserted")
			}
			if seen := b.ask("select count(*)::text from relay.outbox"); seen != "0" {
				t.Errorf("%s rows are in the table", seen)
			}
		})
	}
}

func TestOnlyRowsWithoutAKeyAreCanaries(t *testing.T) {
	t.Parallel()
	id := newCanary()
	for _, c := range []struct {
		ring relay.Ring
		is   bool
	}{
		{relay.Ring{ID: id}, true},
		{relay.Ring{ID: newCanary()}, true},
		{relay.Ring{ID: id, Key: "k"}, false},
		{relay.Ring{ID: relay.NewID()}, false},
	} {
		if isCanary(c.ring) != c.is {
			t.Errorf("isCanary(%v) is %v", c.ring, !c.is)
		}
	}
	if newCanary() == id {
		t.Error("two canaries have one id")
	}
}
