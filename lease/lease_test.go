package lease

import (
	"context"
	"log/slog"
	"slices"
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

// scripted is a worker whose shards are busy as a test says.
type scripted struct {
	mu     sync.Mutex
	busy   [relay.Shards]bool
	gained int
}

func (s *scripted) Stuck(context.Context) (stuck [relay.Shards]bool) { return stuck }

func (s *scripted) Busy(context.Context, []int16) (busy [relay.Shards]bool, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy, true
}

func (s *scripted) Owns(_, _ *Ownership, gained int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gained += gained
}

func (s *scripted) set(shard int16, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[shard] = busy
}

// start runs a keeper until the function that it returns is called.
func start(t *testing.T, store *sql.Store, w worker) (k *Keeper, stop func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	k = New(Config{
		Store: store, ID: relay.NewID(), Name: "test", TTL: 3 * time.Second, Streaming: func() bool { return false },
		Worker: w, Trouble: trouble.New(log), Log: log, Metrics: NewMetrics(nil),
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return k, stop
}

// owns waits until a keeper sends messages of n shards.
func owns(t *testing.T, what string, k *Keeper, n int) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, what, func() bool { return k.Now().Lasts() && len(k.Now().Shards) == n })
}

// Two relays have half of the shards each. A shard moves when nothing of it is under way.
func TestShardsMove(t *testing.T) {
	t.Parallel()
	store, _ := migrated.Open(t)
	working := new(scripted)
	first, stopFirst := start(t, store, working)
	owns(t, "the first one has all", first, relay.Shards)
	const busy = relay.Shards - 1 // it is above the first one's share
	working.set(busy, true)
	second, stopSecond := start(t, store, new(scripted))
	owns(t, "the second one has half, but for one", second, relay.Shards/2-1)
	own := first.Now()
	if !own.Leased(busy) || own.Sends(busy) || !slices.Equal(own.Giving, []int16{busy}) {
		t.Errorf("the first one gives up %v", own.Giving)
	}
	if got := own.Among([]int16{busy, 2, 1}); !slices.Equal(got, []int16{1, 2}) {
		t.Errorf("it has %v", got)
	}
	working.set(busy, false)
	owns(t, "the second one has half", second, relay.Shards/2)

	first.Stop()
	owns(t, "the second one has all", second, relay.Shards)
	stopFirst()
	stopSecond()
	if working.gained < relay.Shards {
		t.Errorf("the first one was told of %d shards", working.gained)
	}
	for _, k := range []*Keeper{first, second} {
		if err := k.Release(); err != nil {
			t.Error(err)
		}
	}
}

// A keeper without a database owns nothing any more when its leases are over.
func TestLeasesEndWithoutADatabase(t *testing.T) {
	t.Parallel()
	store, _ := migrated.Open(t)
	k, _ := start(t, store, new(scripted))
	owns(t, "it has all", k, relay.Shards)
	store.Close()
	harness.Eventually(t, 20*time.Second, "its leases are over", func() bool { return !k.Now().Lasts() })
	if !k.Now().Holds(0) || k.Now().Sends(0) {
		t.Error("it sends what it may not")
	}
	harness.Eventually(t, 20*time.Second, "the trouble is noted", func() bool { return k.config.Trouble.Last() != "" })
}

// What cannot be given up for long is sent on meanwhile, and what comes back under another epoch is new.
func TestAShardThatIsStuckIsSentOn(t *testing.T) {
	t.Parallel()
	epochs := map[int16]int64{0: 1, 1: 1, 2: 1}
	never, always := func(int16, time.Time) bool { return false }, func(int16, time.Time) bool { return true }
	own := newOwnership(sql.Lease{Epochs: epochs}, 2, new(Ownership), never)
	if !slices.Equal(own.Giving, []int16{2}) || own.gained(new(Ownership)) != 2 {
		t.Errorf("it gives up %v", own.Giving)
	}
	own.Until = time.Now().Add(time.Minute)
	next := newOwnership(sql.Lease{Epochs: map[int16]int64{0: 1, 1: 2, 2: 1}}, 2, own, always)
	if len(next.Giving) != 0 || !next.since[2].Equal(own.since[2]) || next.gained(own) != 2 {
		t.Errorf("it gives up %v, and has gained %d", next.Giving, next.gained(own))
	}
}
