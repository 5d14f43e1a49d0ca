// Package notice holds both ends of what sessions tell each other by NOTIFY: Hints takes ids that arrive, and Forwarder
// tells the other relays of rows that this one hears of by the stream.
package notice

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"relay"
	"relay/sql"
	"relay/trouble"
	"relay/wait"
)

const (
	// hintsMost is how many ids wait to be looked at. What exceeds it is dropped, and a sweep
	// finds what it told.
	hintsMost = 10_000
	// hintsBatch is the most ids that one statement looks at.
	hintsBatch = 500
	// vainRate is how many ids per second may be looked at in vain. Pending messages are
	// not counted.
	vainRate = 5000
	// vainDebt is how long a sender is not heeded for each id that no message has, once that
	// comes to more than vainGrace: it may name 200 such ids at once, and 100 a second.
	vainDebt  = 10 * time.Millisecond
	vainGrace = 200 * vainDebt
	// hintedSweepEvery keeps the sweeps apart that hints ask for.
	hintedSweepEvery = time.Second
	// hintsGather is how long ids wait for company before they are looked at.
	hintsGather = time.Millisecond
	// sweepAfter is how long after ids were dropped, or looked at in vain, a sweep is asked for.
	sweepAfter = 500 * time.Millisecond
	// hintsOdd is how many ids in vain within hintsWarnEvery are worth a line in the log.
	hintsOdd       = 1000
	hintsWarnEvery = time.Minute
)

// HintsConfig is what hints need. All of it is required.
type HintsConfig struct {
	Store *sql.Store
	// Await waits until it makes sense to look at ids. It reports false if ctx ends before.
	Await func(ctx context.Context) bool
	// Holds reports whether messages of the shard are this relay's.
	Holds func(shard int16) bool
	// Found is told of the messages among those looked at that are pending and this relay's, perhaps of none.
	Found func(pending []sql.Glance)
	// Sweep has everything in the table looked at that could be sent.
	Sweep   func()
	Trouble *trouble.Log
	Log     *slog.Logger
	Metrics *Metrics
}

// Hints collects the ids that arrive by NOTIFY. Every role that can connect to the database
// may send them, hence they get no place in memory before the table has shown that they
// name pending messages: an id that names none costs one probe of the primary key, at a
// limited rate. Such an id is not looked at again, since PostgreSQL passes a notification on
// only when its transaction is visible. A sender that names many such ids is not heeded for a
// while, so that it takes no room from the others.
type Hints struct {
	config HintsConfig
	ready  chan struct{}

	mu   sync.Mutex
	ids  []hint
	here map[relay.ID]bool // ids, so that none waits twice
	// owing says until when senders pay for the ids that no message has.
	owing map[uint32]time.Time
	// sweeping says that a sweep is to come, swept when the last one was.
	sweeping bool
	swept    time.Time
	dropped  int // since dropped was asked for

	// These belong to the goroutine that looks at the ids.
	allowance *rate.Limiter
	vain      int // since warned
	warned    time.Time
}

// hint is one id, and the server's process that sent it.
type hint struct {
	id     relay.ID
	sender uint32
}

// NewHints returns hints that are not looked at before Run.
func NewHints(config HintsConfig) *Hints {
	return &Hints{
		config: config, ready: make(chan struct{}, 1), here: make(map[relay.ID]bool), owing: make(map[uint32]time.Time),
		allowance: rate.NewLimiter(vainRate, hintsBatch),
	}
}

// Heard takes what arrived by NOTIFY: these messages, of any shard, may be pending, and
// something may be due. Without ids it asks for a look at what is pending, due or waiting. It
// reports whether the sender, a process of the server, is heeded, and returns at once.
func (h *Hints) Heard(sender uint32, ids []relay.ID) (heeded bool) {
	if len(ids) == 0 {
		h.sweep(0)
		return true
	}
	dropped, heeded := h.add(sender, ids)
	if dropped > 0 {
		h.sweep(sweepAfter)
	}
	return heeded
}

// heeds reports whether ids of a sender are looked at. The caller holds the mutex.
func (h *Hints) heeds(sender uint32, now time.Time) bool {
	return h.owing[sender].Sub(now) <= vainGrace
}

// add collects ids of a sender as far as there is room, and returns how many were dropped and
// whether the sender is heeded.
func (h *Hints) add(sender uint32, ids []relay.ID) (dropped int, heeded bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	heeded = h.heeds(sender, time.Now())
	for _, id := range ids {
		switch {
		case h.here[id]:
		case len(h.ids) == hintsMost || !heeded:
			dropped++
		default:
			h.ids = append(h.ids, hint{id: id, sender: sender})
			h.here[id] = true
		}
	}
	h.dropped += dropped
	wait.Signal(h.ready)
	return dropped, heeded
}

// take returns the hints that have waited the longest, at most hintsBatch of them, and how many
// were dropped since the last time. It drops those whose sender is not heeded any more.
func (h *Hints) take() (batch []hint, dropped int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	n := 0
	for ; n < len(h.ids) && len(batch) < hintsBatch; n++ {
		delete(h.here, h.ids[n].id)
		if h.heeds(h.ids[n].sender, now) {
			batch = append(batch, h.ids[n])
		} else {
			h.dropped++
		}
	}
	if h.ids = h.ids[n:]; len(h.ids) > 0 {
		wait.Signal(h.ready)
	} else {
		h.ids = nil
	}
	dropped, h.dropped = h.dropped, 0
	return batch, dropped
}

// charge notes that no message has these ids.
func (h *Hints) charge(unknown []hint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(h.owing, func(_ uint32, until time.Time) bool { return !until.After(now) })
	for _, one := range unknown {
		until := h.owing[one.sender]
		if until.Before(now) {
			until = now
		}
		h.owing[one.sender] = until.Add(vainDebt)
	}
}

// sweep has a sweep begin after a delay, but not sooner than hintedSweepEvery after the last
// time. It does nothing if one is to come already.
func (h *Hints) sweep(after time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sweeping {
		return
	}
	h.sweeping = true
	time.AfterFunc(max(after, time.Until(h.swept.Add(hintedSweepEvery))), func() {
		h.mu.Lock()
		h.sweeping, h.swept = false, time.Now()
		h.mu.Unlock()
		h.config.Sweep()
	})
}

// Run looks at what was heard, until ctx ends. It returns no error: what fails is left to a sweep.
func (h *Hints) Run(ctx context.Context) error {
	for wait.Ready(ctx, h.ready, hintsGather) && h.config.Await(ctx) {
		batch, dropped := h.take()
		h.config.Metrics.hints.WithLabelValues(hintDropped).Add(float64(dropped))
		vain, err := h.look(ctx, batch)
		h.config.Trouble.NoteDuring(ctx, "look at notified messages", err)
		if err != nil {
			vain = len(batch) // nor does a database that fails get more of them at once
		}
		if vain+dropped > 0 {
			h.sweep(sweepAfter)
		}
		h.warn(vain + dropped)
		if h.allowance.WaitN(ctx, vain) != nil {
			return nil
		}
	}
	return nil
}

// look finds the messages that are pending and this relay's, and returns how many ids were looked at in vain.
func (h *Hints) look(ctx context.Context, batch []hint) (vain int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	ids := make([]relay.ID, len(batch))
	for i, one := range batch {
		ids[i] = one.id
	}
	found, err := h.config.Store.Glance(ctx, ids)
	if err != nil {
		return 0, err
	}
	h.charge(unknown(batch, found))
	counts := h.report(found)
	counts[hintUnknown] = len(ids) - len(found)
	for result, n := range counts {
		h.config.Metrics.hints.WithLabelValues(result).Add(float64(n))
	}
	return counts[hintUnknown] + counts[hintEnded], nil
}

// report tells of the messages that are pending and this relay's, and counts what became of each.
func (h *Hints) report(found []sql.Glance) (counts map[string]int) {
	var mine []sql.Glance
	counts = make(map[string]int)
	for _, g := range found {
		switch isPending := g.Status == relay.MessagePending; {
		case !isPending && g.Status != relay.MessageOpen:
			counts[hintEnded]++
		case !h.config.Holds(g.Shard):
			counts[hintForeign]++
		case !isPending:
			counts[hintOpen]++
		default:
			counts[hintPending]++
			mine = append(mine, g)
		}
	}
	if len(found) > 0 { // also for what is due of messages that a person has changed
		h.config.Found(mine)
	}
	return counts
}

// unknown returns the hints that are not among the messages found.
func unknown(batch []hint, found []sql.Glance) []hint {
	if len(batch) == len(found) {
		return nil
	}
	known := make(map[relay.ID]bool, len(found))
	for i := range found {
		known[found[i].ID] = true
	}
	return slices.DeleteFunc(batch, func(one hint) bool { return known[one.id] })
}

// warn logs once in a while that many ids were looked at in vain, or dropped.
func (h *Hints) warn(vain int) {
	h.vain += vain
	if since := time.Since(h.warned); since < hintsWarnEvery {
		return
	}
	if h.vain > hintsOdd {
		h.config.Log.Warn("many notifications name no pending message: a role that can connect to the database may be sending them; "+
			"find it with: select usename, query from pg_stat_activity where query ilike '%notify%'", "ids", h.vain)
	}
	h.vain, h.warned = 0, time.Now()
}
