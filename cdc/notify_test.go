package cdc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
)

// listening starts a listener, stops it at the end, and waits until it listens.
func (b *bench) listening() *Listener { return b.listeningTo(false) }

// listeningTo is listening, to the trigger or to another relay.
func (b *bench) listeningTo(trigger bool) *Listener {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := NewListener(ListenerConfig{Conn: b.cfg.Conn, Trigger: trigger, SilentAfter: 500 * time.Millisecond, Log: b.cfg.Log}, b.rec)
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				b.t.Errorf("Run returned %v", err)
			}
		case <-time.After(10 * time.Second):
			b.t.Error("Run did not end")
		}
	})
	harness.Eventually(b.t, 10*time.Second, "listening", l.Streaming)
	return l
}

func TestTriggerRings(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := EnsureTrigger(t.Context(), b.connect(b.db.URL)); err != nil {
		t.Fatal(err)
	}
	b.listening()
	rung := func(n int) {
		t.Helper()
		harness.Eventually(t, 10*time.Second, fmt.Sprint(n, " rings"), func() bool { return b.rec.changes() == n })
	}
	b.insert("by an application that may only insert")
	rung(1)
	b.exec(b.db.AppURL, "begin; insert into relay.outbox (key) values ('no'); rollback")
	b.exec(b.db.AppURL, "insert into relay.outbox (key) select i::text from generate_series(1, 1000) i")
	rung(1001)
	b.exec(b.db.AppURL, "insert into relay.outbox (key) select 'none' where false")
	b.exec(b.db.AppURL, "insert into relay.outbox (key) select i::text from generate_series(1, 1001) i")
	harness.Eventually(t, 10*time.Second, "a sweep is asked for", func() bool { return b.rec.sweeps() == 1 })
	rung(1001)
	inTable := b.ask("select string_agg(id::text, ',' order by id) from (select id from relay.outbox order by seq limit 1 ) o")
	if got := b.rec.changed[0].String(); got != inTable {
		t.Errorf("rang %s, want %s", got, inTable)
	}
}

// The doorbell was said to be heard while its trigger was disabled, or had been dropped.
func TestATriggerThatDoesNotRingIsNoticed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := EnsureTrigger(t.Context(), b.connect(b.db.URL)); err != nil {
		t.Fatal(err)
	}
	l := b.listeningTo(true)
	for statement, why := range map[string]string{
		"alter table relay.outbox disable trigger outbox_ring": "is disabled; to mend it: alter table relay.outbox enable always trigger outbox_ring",
		"drop trigger outbox_ring on relay.outbox":             "has no trigger outbox_ring any more; to mend it: start a relay",
	} {
		b.relay(statement)
		harness.Eventually(t, 10*time.Second, "it says that "+why, func() bool { return !l.Streaming() && strings.Contains(l.State().String(), why) })
		if up := value(l.metrics.up); up != 0 {
			t.Errorf("the gauge is %v", up)
		}
		b.relay("select pg_notify('relay_changed', '018f0000-0000-7000-8000-00000000abcd')")
		harness.Eventually(t, 10*time.Second, "a change by hand is heard", func() bool { return b.rec.changes() == 1 })
		b.forget()
		b.insert("unheard")
		if err := EnsureTrigger(t.Context(), b.connect(b.db.URL)); err != nil {
			t.Fatal(err)
		}
		b.relay("alter table relay.outbox enable always trigger outbox_ring")
		harness.Eventually(t, 10*time.Second, "it is heard again, after a sweep", func() bool { _, missed := b.rec.count(); return l.Streaming() && missed == 1 })
		b.insert("heard")
		harness.Eventually(t, 10*time.Second, "a ring", func() bool { return b.rec.changes() == 1 })
		b.forget()
	}
	if n := strings.Count(b.log.String(), "new rows are found by sweeps alone"); n != 2 {
		t.Errorf("%d lines:\n%s", n, b.log)
	}
}

func TestTriggerIsMadeOnceAndRemoved(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	there := func() string {
		return b.ask(`select (select count(*) from pg_trigger where tgname = 'outbox_ring')
			|| ' ' || (select count(*) from pg_proc where proname = 'ring' and pronamespace = 'relay'::regnamespace)`)
	}
	both := func(change func(context.Context, *pgx.Conn) error) {
		t.Helper()
		var group sync.WaitGroup
		for range 4 {
			conn := b.connect(b.db.URL)
			group.Go(func() {
				for range 3 {
					if err := change(t.Context(), conn); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
	}
	both(DropTrigger)
	both(EnsureTrigger)
	if got := there(); got != "1 1" {
		t.Errorf("triggers and functions: %s", got)
	}
	both(DropTrigger)
	if got := there(); got != "0 0" {
		t.Errorf("triggers and functions: %s", got)
	}
}

func TestTriggerThatStandsTakesNoLock(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conn := b.connect(b.db.URL)
	if err := EnsureTrigger(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	writer := b.connect(b.db.AppURL)
	if _, err := writer.Exec(t.Context(), "begin; insert into relay.outbox (key) values ('open')"); err != nil {
		t.Fatal(err)
	}
	if err := EnsureTrigger(t.Context(), conn); err != nil {
		t.Errorf("with a writer under way: %v", err)
	}
	if err := DropTrigger(t.Context(), conn); sqlstate(err) != codeLockTimeout {
		t.Errorf("dropping with a writer under way: %v, want a lock time-out", err)
	}
}

func TestListenerComesBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := b.listening()
	again := b.missedAgain(1)
	b.admin("select pg_terminate_backend(pid) from pg_stat_activity where query = 'listen relay_outbox' and datname = current_database()")
	harness.Eventually(t, 10*time.Second, "a sweep is asked for", again)
	harness.Eventually(t, 10*time.Second, "listening", l.Streaming)
	b.relay("select pg_notify('relay_outbox', '" + someID + "')")
	harness.Eventually(t, 10*time.Second, "a ring", func() bool { return b.rec.changes() == 1 })
}

func TestListenerFindsAHalfOpenConnection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := &proxy{frozen: make(chan struct{})}
	b.cfg.Conn.DialFunc = p.dial
	b.listening()
	again := b.missedAgain(1)
	p.freeze()
	harness.Eventually(t, 10*time.Second, "a sweep is asked for", again)
}

func TestPayload(t *testing.T) {
	t.Parallel()
	two := someID + "," + strings.ToUpper(someID)
	if ids, ok := parsePayload(two); !ok || len(ids) != 2 || ids[0] != ids[1] {
		t.Errorf("%s: %v %v", two, ids, ok)
	}
	for _, payload := range []string{"", ",", someID + ",", "x", someID + "," + someID + "x", someID + ";" + someID, strings.Repeat("x", 36), someID + someID} {
		if ids, ok := parsePayload(payload); ok {
			t.Errorf("%q was read as %v", payload, ids)
		}
	}
}
