package cdc

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"relay"
)

// sink is what the doorbell rings for: the engine of package reconcile.
type sink interface {
	// Ring takes the rows of one committed transaction, or a part of a large one, into memory, or
	// leaves them to the table when there is no room. It does not wait for any
	// destination and returns quickly: with its return the rows may be confirmed. The
	// slice is the sink's to keep. It is called from one goroutine at a time.
	Ring(rings []relay.Ring)
	// Missed says that the doorbell starts, or starts again, and rows committed before
	// may not have been rung: a sweep must follow.
	Missed()
	// Changed passes on a hint that arrived by NOTIFY, which every role that can connect may
	// send: these messages, of any shard, may be pending, and something may be due. No ids
	// ask for a sweep, and a look at what is due. Sender is the server's process that sent it, which
	// cannot be forged; false says that its ids are not looked at for the moment. It returns at once,
	// keeps a bounded part of what it is told, and may be called while Ring is under way.
	Changed(sender uint32, ids []relay.ID) (heeded bool)
}

// Config says where and how a Stream listens.
type Config struct {
	// Conn leads to the database, as pgx.ParseConfig made it; required. It is copied.
	// The role needs REPLICATION, CREATE on the database and relay.outbox for its own.
	Conn *pgx.ConnConfig
	// Renew brings Conn up to date for each new connection. Nil means that Conn never changes.
	Renew Renewal
	// Slot and Publication are names. Empty means "relay".
	Slot, Publication string
	// HeartbeatEvery is how often the stream makes itself heard on the server and looks whether
	// the catalogue has changed. Zero means 5 seconds.
	HeartbeatEvery time.Duration
	// SilentAfter is how long the server may say nothing, although asked three times, before the
	// connection counts as half open. Zero means 30 seconds.
	SilentAfter time.Duration
	// Steal says that this relay is the only rightful holder of the slot, for instance by a lease,
	// so that any other session that holds it is a remnant, whose walsender the stream terminates.
	// Without Steal the stream waits until the slot is free, and reports which session holds it.
	Steal bool
	// Log receives what a person should know. Nil means that nothing is logged.
	Log *slog.Logger
	// Registerer receives the metrics relay_cdc_…. Nil means that the metrics are not registered anywhere.
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
	notices *notices

	// These belong to the goroutine of Run.
	replace string // why the slot is to be replaced at the next start; empty: it is not
	lastPID uint32 // of the last walsender of ours
	server  server // as the session under way found it
	stuck   stuckness

	board board

	mu      sync.Mutex              // guards what follows
	cancel  context.CancelCauseFunc // ends the session under way; nil: none is streaming
	doubted time.Time               // when a suspicion last cost the slot
}

// New returns a Stream that rings for s. It does not connect; Run does.
func New(cfg Config, s sink) *Stream {
	cfg = cfg.withDefaults()
	return &Stream{
		cfg:     cfg,
		sink:    s,
		metrics: newStreamMetrics(cfg.Registerer),
		notices: newNotices(s, cfg.Log, newNoticeMetrics(cfg.Registerer, "stream")),
		board:   newBoard(cfg.Log.With("capture", "stream")),
	}
}

// Run keeps the stream going until ctx ends: it makes what is missing, streams, and starts
// again with growing pauses when there is no stream to be had. It then confirms the last
// position, closes its connections and returns nil. It never returns for another reason,
// since a missing stream costs latency and not messages.
func (s *Stream) Run(ctx context.Context) error {
	supervise(ctx, s.session, func(err error) {
		s.metrics.failures.Inc()
		s.board.failed(err)
	})
	s.board.stopped()
	s.unmeasured()
	return nil
}

// State returns how the stream stands.
func (s *Stream) State() State { return s.board.read() }

// Streaming reports whether the relay hears of commits as they happen. If not, sweeps must poll
// for rows.
func (s *Stream) Streaming() bool { return s.State().Streaming }

// rebuildEvery bounds how often a mere suspicion costs a slot.
const rebuildEvery = 5 * time.Minute

// suspicion ends a session and costs the slot.
type suspicion struct{ why string }

// Error says what was observed.
func (e *suspicion) Error() string { return "the stream is rebuilt: " + e.why }

// blind ends the session and has the slot replaced, since the stream has not shown a canary that it had to show. It
// does nothing when the last suspicion is younger than 5 minutes: sweeps find meanwhile what the stream does not show.
func (s *Stream) blind() {
	const why = "it has passed a heartbeat, and has not shown the canary that was committed before it"
	s.mu.Lock()
	cancel := s.cancel
	s.mu.Unlock()
	if cancel == nil || !s.mayDoubt() {
		return
	}
	s.cfg.Log.Warn("the stream seems to be blind and is rebuilt", "why", why)
	cancel(&suspicion{why: why})
}

// mayDoubt reports whether a suspicion may cost the slot now, and notes that it does.
func (s *Stream) mayDoubt() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.doubted) < rebuildEvery {
		return false
	}
	s.doubted = time.Now()
	return true
}

// started notes that the stream is on; cancel ends it.
func (s *Stream) started(cancel context.CancelCauseFunc) {
	s.board.up()
	s.metrics.up.Set(1)
	s.metrics.sessions.Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = cancel
}

// ended notes that the stream is off.
func (s *Stream) ended() {
	s.board.down()
	s.metrics.up.Set(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = nil
}
