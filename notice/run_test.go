package notice

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"relay"
	"relay/sql"
	"relay/test/harness"
	"relay/test/migrated"
	"relay/trouble"
)

func TestMain(m *testing.M) { harness.Main(m) }

// start has a worker work until the test ends.
func start(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Ids that name pending messages of this relay are told. Where others are named, a sweep is asked for.
func TestIdsAreLookedAt(t *testing.T) {
	t.Parallel()
	store, db := migrated.Open(t)
	var ids []relay.ID
	for _, status := range []string{"pending", "open", "done"} {
		ids = append(ids, relay.NewID())
		if _, err := db.Admin(t).Exec(t.Context(), "insert into relay.outbox (id, topic, status) values ($1, 'a', $2::text::relay.message_status)",
			[16]byte(ids[len(ids)-1]), status); err != nil {
			t.Fatal(err)
		}
	}
	found, swept := make(chan []sql.Glance, 100), make(chan struct{}, 100)
	var mu sync.Mutex
	holds := true
	log := slog.New(slog.DiscardHandler)
	h := NewHints(HintsConfig{
		Store: store, Await: func(ctx context.Context) bool { return ctx.Err() == nil },
		Holds: func(int16) bool { mu.Lock(); defer mu.Unlock(); return holds },
		Found: func(pending []sql.Glance) { found <- pending }, Sweep: func() { swept <- struct{}{} },
		Trouble: trouble.New(log), Log: log, Metrics: NewMetrics(nil),
	})
	start(t, h.Run)
	if !h.Heard(1, ids) {
		t.Error("the sender is not heeded")
	}
	if pending := <-found; len(pending) != 1 || pending[0].ID != ids[0] {
		t.Errorf("found %+v", pending)
	}
	<-swept // one of them had ended
	mu.Lock()
	holds = false
	mu.Unlock()
	h.Heard(1, ids[:1])
	if pending := <-found; len(pending) != 0 {
		t.Errorf("found %+v of another relay", pending)
	}
	h.Heard(1, nil)
	<-swept
	forged := make([]relay.ID, 2*hintsMost)
	for i := range forged {
		forged[i] = relay.NewID()
	}
	h.Heard(2, forged)
	<-swept
}

// Many ids in vain are worth one line in a minute.
func TestManyIdsInVainAreLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := NewHints(HintsConfig{Log: slog.New(slog.NewTextHandler(&log, nil))})
	h.warn(hintsOdd)
	h.warned = time.Time{}
	for range 3 {
		h.warn(hintsOdd + 1)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 {
		t.Errorf("%d lines:\n%s", lines, log.String())
	}
}

// The other relays are told of rows that SQL shows, and asked to sweep where rows may have been missed.
func TestOtherRelaysAreTold(t *testing.T) {
	t.Parallel()
	store, db := migrated.Open(t)
	conn, err := db.Admin(t).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), "listen relay_outbox"); err != nil {
		t.Fatal(err)
	}
	id := relay.NewID()
	if _, err := db.Admin(t).Exec(t.Context(), "insert into relay.outbox (id, topic) values ($1, 'a')", [16]byte(id)); err != nil {
		t.Fatal(err)
	}
	f := NewForwarder(ForwarderConfig{Store: store, Trouble: trouble.New(slog.New(slog.DiscardHandler))})
	start(t, f.Run)
	f.Add(relay.Ring{ID: id}, relay.Ring{ID: relay.NewID(), Xid: 3}) // the second one is gone
	heard := func(want string) {
		t.Helper()
		note, err := conn.Conn().WaitForNotification(t.Context())
		if err != nil || note.Payload != want {
			t.Errorf("told %+v, want %q: %v", note, want, err)
		}
	}
	heard(id.String())
	f.Missed()
	heard("")
	f.Add(make([]relay.Ring, forwardMost+1)...)
	heard("")
	store.Close()
	f.Missed()
	harness.Eventually(t, 20*time.Second, "the trouble is noted", func() bool { return f.config.Trouble.Last() != "" })
}
