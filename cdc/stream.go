package cdc

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"relay"
)

// sink is who the doorbell rings for: the registry of package reconcile.
type sink interface {
	// Ring registers the rows of one committed transaction, or a part of a large one, or
	// leaves them to the table when the registry is full. It does not wait for any
	// destination and returns quickly: with its return the rows may be confirmed. The
	// slice is the sink's to keep. It is called from one goroutine at a time.
	Ring(rings []relay.Ring)
	// Missed says that the doorbell starts, or starts again, and rows committed before
	// may not have been rung: a sweep must follow.
	Missed()
}

// Config says where and how a Stream listens.
type Config struct {
	// Conn leads to the database, as pgx.ParseConfig made it; required. It is copied.
	// The role needs REPLICATION, CREATE on the database and relay.outbox for its own.
	Conn *pgx.ConnConfig
	// Slot and Publication are names. Empty: "relay".
	Slot, Publication string
	// HeartbeatEvery is how often the stream makes itself heard on the server and looks
	// whether the catalogue has changed. Zero: 5 seconds.
	HeartbeatEvery time.Duration
	// SilentAfter is how long the server may say nothing, although asked three times,
	// before the connection counts as half open. Zero: 30 seconds.
	SilentAfter time.Duration
	// Steal says that this relay is the only rightful holder of the slot, for instance by
	// a lease, so that whoever holds it is a remnant: its walsender is terminated. False:
	// the stream waits until the slot is free, and says who holds it.
	Steal bool
	// Log receives what a person should know. Nil: nothing is logged.
	Log *slog.Logger
	// Registerer receives the metrics relay_cdc_…. Nil: they are counted for nobody.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() Config {
	c.Conn = c.Conn.Copy()
	if c.Slot == "" {
		c.Slot = "relay"
	}
	if c.Publication == "" {
		c.Publication = "relay"
	}
	if c.HeartbeatEvery <= 0 {
		c.HeartbeatEvery = 5 * time.Second
	}
	if c.SilentAfter <= 0 {
		c.SilentAfter = 30 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Stream is the doorbell over logical replication. Run keeps it going; the other methods
// may be called at any time from any goroutine.
type Stream struct {
	cfg     Config
	sink    sink
	metrics *streamMetrics

	// These belong to the goroutine of Run.
	replace string // why the slot is to be replaced at the next start; empty: it is not
	lastPID uint32 // of the last walsender of ours
	server  server // as the session under way found it
	stuck   stuckness

	mu     sync.Mutex // guards what follows
	state  State
	said   string // the last trouble, which is not printed again
	marker marker
	cancel context.CancelCauseFunc // ends the session under way; nil: none is streaming
	doubts time.Time               // of the last rebuilding on a suspicion
}

// New returns a Stream that rings for s. It does not connect; Run does.
func New(cfg Config, s sink) *Stream {
	cfg = cfg.withDefaults()
	return &Stream{
		cfg:     cfg,
		sink:    s,
		metrics: newStreamMetrics(cfg.Registerer),
		state:   State{Why: "not started", ConfirmedLag: -1, RestartLag: -1},
	}
}

// Run keeps the stream going until ctx ends: it makes what is missing, streams, and starts
// again with growing pauses when there is no stream to be had. It then confirms the last
// position, closes its connections and returns nil. It never returns for another reason,
// since a missing stream costs latency and not messages.
func (s *Stream) Run(ctx context.Context) error {
	var pause backoff
	for ctx.Err() == nil {
		began := time.Now()
		err := s.session(ctx)
		if ctx.Err() != nil {
			break
		}
		s.failed(err)
		if time.Since(began) > pauseReset {
			pause = backoff{}
		}
		pause.wait(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Why = "stopped"
	return nil
}

// Pauses between attempts: doubling, with jitter, so that several relays do not come at
// the same moment. An attempt that lasted longer than pauseReset begins again at the first.
const (
	pauseFirst = 100 * time.Millisecond
	pauseMax   = 5 * time.Second
	pauseReset = 10 * time.Second
)

// backoff counts attempts in vain. The zero value is ready for use.
type backoff struct{ pause time.Duration }

func (b *backoff) wait(ctx context.Context) {
	b.pause = min(max(2*b.pause, pauseFirst), pauseMax)
	jittered := b.pause/2 + rand.N(b.pause/2)
	select {
	case <-time.After(jittered):
	case <-ctx.Done():
	}
}
