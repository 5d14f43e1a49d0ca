package reconcile

import (
	"context"
	"sync"
	"time"

	"relay"
	"relay/sql"
)

const (
	// wakeGather is how long lines wait for company before their heads are looked up.
	wakeGather = 2 * time.Millisecond
	// wakeAgain is when a line is looked at again whose head found no room, or an earlier
	// message of its key pending, which may go to other subscribers alone.
	wakeAgain = 200 * time.Millisecond
	// wakeAhead is how many open deliveries of one line are read at once.
	wakeAhead = 16
	// linesBatch is the most lines that one statement looks at.
	linesBatch = 500
)

// waker collects the lines whose head in the table may have to be sent.
type waker struct {
	ready chan struct{}

	mu      sync.Mutex
	lines   map[sql.Line]bool
	restore bool // all lines of the table are to be looked at
}

func newWaker() *waker { return &waker{ready: make(chan struct{}, 1), lines: make(map[sql.Line]bool)} }

// add asks for a look at lines; one without a key is none.
func (w *waker) add(lines ...sql.Line) {
	w.mu.Lock()
	for _, l := range lines {
		if l.Key != "" {
			w.lines[l] = true
		}
	}
	w.mu.Unlock()
	poke(w.ready)
}

// all asks for a look at every line, after shards were taken over.
func (w *waker) all() {
	w.mu.Lock()
	w.restore = true
	w.mu.Unlock()
	poke(w.ready)
}

func (w *waker) take() (lines []sql.Line, restore bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.lines {
		if len(lines) == linesBatch {
			poke(w.ready)
			break
		}
		lines = append(lines, l)
		delete(w.lines, l)
	}
	restore, w.restore = w.restore, false
	return lines, restore
}

// wakeLines sends the heads of lines whose earlier message has come to its end, until ctx
// ends.
func (e *Engine) wakeLines(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.waker.ready:
		}
		if !pause(ctx, wakeGather, nil) || e.writer.waitHealthy(ctx) != nil {
			return nil
		}
		lines, restore := e.waker.take()
		err := e.wakeHeads(ctx, lines)
		if err == nil && restore {
			err = e.restoreLines(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		e.trouble.note("wake keys", err)
		if err == nil {
			continue
		}
		e.waker.add(lines...)
		if restore {
			e.waker.all()
		}
		if !pause(ctx, wakeAgain, nil) {
			return nil
		}
	}
}

// restoreLines looks at every line of the shards that this relay owns: a crash may have come
// between the end of a head and the waking of its successor.
func (e *Engine) restoreLines(ctx context.Context) error {
	var after sql.Line
	for {
		lines, err := e.config.Store.UnfinishedLines(ctx, after, linesBatch)
		if err != nil || len(lines) == 0 {
			return err
		}
		if err := e.wakeHeads(ctx, lines); err != nil {
			return err
		}
		after = lines[len(lines)-1]
	}
}

// wakeHeads registers, of each line that has nothing in memory, the first deliveries if
// they wait for nothing but their key.
func (e *Engine) wakeHeads(ctx context.Context, lines []sql.Line) error {
	own := e.lease.Load()
	idle := make([]sql.Line, 0, len(lines))
	for _, l := range lines {
		if own.holds(relay.ShardOf(relay.ID{}, l.Key)) && !e.order.has(l) {
			idle = append(idle, l)
		}
	}
	if len(idle) == 0 {
		return nil
	}
	heads, err := e.config.Store.LineHeads(ctx, idle, wakeAhead)
	if err != nil {
		return err
	}
	held := make(map[sql.Line]bool) // its head waits for something else
	for _, h := range heads {
		l := sql.Line{Subscription: h.ID.Subscription, Instance: h.ID.Instance, Key: h.Key}
		if held[l] || !h.Blocked || h.Dead && e.config.Router.BlocksOnDead(l.Subscription) {
			held[l] = true
			continue
		}
		if h.Earlier {
			e.registry.add([]entry{keyEntry(h.Key)})
		}
		if h.Earlier || !e.registry.fits(entry{id: h.ID, key: h.Key, rung: true}) {
			held[l] = true
			time.AfterFunc(wakeAgain, func() { e.waker.add(l) })
		}
	}
	return nil
}
