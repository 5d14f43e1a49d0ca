package reconcile

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"relay"
	"relay/reconcile/machine"
	"relay/sql"
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
	// hintsOdd is how many ids in vain within hintsWarnEvery are worth a line in the log.
	hintsOdd       = 1000
	hintsWarnEvery = time.Minute
)

// hints collects the ids that arrive by NOTIFY. Every role that can connect to the database
// may send them, hence they get no place in memory before the table has shown that they
// name pending messages: an id that names none costs one probe of the primary key, at a
// limited rate. Such an id is not looked at again, since PostgreSQL passes a notification on
// only when its transaction is visible. A sender that names many such ids is not heeded for a
// while, so that it takes no room from the others.
type hints struct {
	ready chan struct{}

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

func newHints() *hints {
	return &hints{
		ready: make(chan struct{}, 1), here: make(map[relay.ID]bool), owing: make(map[uint32]time.Time),
		allowance: rate.NewLimiter(vainRate, hintsBatch),
	}
}

// heeds reports whether ids of a sender are looked at. The caller holds the mutex.
func (h *hints) heeds(sender uint32, now time.Time) bool {
	return h.owing[sender].Sub(now) <= vainGrace
}

// add collects ids of a sender as far as there is room, and returns how many were dropped and
// whether the sender is heeded.
func (h *hints) add(sender uint32, ids []relay.ID) (dropped int, heeded bool) {
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
func (h *hints) take() (batch []hint, dropped int) {
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
func (h *hints) charge(unknown []hint) {
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

// sweep has sweep called after a delay, but not sooner than hintedSweepEvery after the last
// time. It does nothing if a call is to come already.
func (h *hints) sweep(after time.Duration, sweep func()) {
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
		sweep()
	})
}

// Changed takes a hint that arrived by NOTIFY: these messages, of any shard, may be pending, and
// something may be due. Without ids it asks for a look at what is pending, due or waiting. It
// reports whether the sender, a process of the server, is heeded, and returns at once.
func (e *Engine) Changed(sender uint32, ids []relay.ID) (heeded bool) {
	if len(ids) == 0 {
		e.hints.sweep(0, e.sweeper.sweepAll)
		return true
	}
	dropped, heeded := e.hints.add(sender, ids)
	if dropped > 0 {
		e.hints.sweep(pollEvery, e.sweeper.sweepAll)
	}
	return heeded
}

// followHints looks at what was notified, until ctx ends.
func (e *hintReader) followHints(ctx context.Context) error {
	for wait.Ready(ctx, e.hints.ready, gather) && e.loop.waitWorking(ctx) {
		batch, dropped := e.hints.take()
		e.config.Metrics.hints.WithLabelValues(hintDropped).Add(float64(dropped))
		vain, err := e.followBatch(ctx, batch)
		e.trouble.NoteDuring(ctx, "look at notified messages", err)
		if err != nil {
			vain = len(batch) // nor does a database that fails get more of them at once
		}
		if vain+dropped > 0 {
			e.hints.sweep(pollEvery, e.sweeper.sweepAll)
		}
		e.warnOfHints(vain + dropped)
		if e.hints.allowance.WaitN(ctx, vain) != nil {
			return nil
		}
	}
	return nil
}

// followBatch tells the machine of the messages that are pending and this relay's, and returns how many were looked at
// in vain.
func (e *hintReader) followBatch(ctx context.Context, batch []hint) (vain int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	ids := make([]relay.ID, len(batch))
	for i, one := range batch {
		ids[i] = one.id
	}
	found, err := e.config.Store.Glance(ctx, ids)
	if err != nil {
		return 0, err
	}
	e.hints.charge(unknown(batch, found))
	counts := e.registerHinted(found)
	counts[hintUnknown] = len(ids) - len(found)
	for result, n := range counts {
		e.config.Metrics.hints.WithLabelValues(result).Add(float64(n))
	}
	e.config.Metrics.announced.Add(float64(counts[hintPending]))
	return counts[hintUnknown] + counts[hintEnded], nil
}

// registerHinted tells the machine of the messages that are pending and this relay's, and counts what became of each.
func (e *hintReader) registerHinted(found []sql.Glance) (counts map[string]int) {
	var rows machine.Found
	own, now := e.lease.Load(), time.Now()
	counts = make(map[string]int)
	for _, g := range found {
		switch pending := g.Status == relay.MessagePending; {
		case !pending && g.Status != relay.MessageOpen:
			counts[hintEnded]++
		case !own.holds(g.Shard):
			counts[hintForeign]++
		case !pending:
			counts[hintOpen]++
		default:
			counts[hintPending]++
			row := machine.Report{ID: g.ID, Key: g.Key, Shard: g.Shard}
			if !g.DeliverAt.IsZero() {
				row.DueIn = min(g.DeliverAt.Sub(now), dueMost)
			}
			rows.Rows = append(rows.Rows, row)
		}
	}
	if len(found) > 0 { // also for what is due of messages that a person has changed
		e.loop.tell(rows)
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

// warnOfHints logs once in a while that many ids were looked at in vain, or dropped.
func (e *hintReader) warnOfHints(vain int) {
	e.hints.vain += vain
	if since := time.Since(e.hints.warned); since < hintsWarnEvery {
		return
	}
	if e.hints.vain > hintsOdd {
		e.config.Log.Warn("many notifications name no pending message: a role that can connect to the database may be sending them; "+
			"find it with: select usename, query from pg_stat_activity where query ilike '%notify%'", "ids", e.hints.vain)
	}
	e.hints.vain, e.hints.warned = 0, time.Now()
}
