package reconcile

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"relay"
	"relay/sql"
)

const (
	// wakeGather is how long lines wait for company before their heads are looked up.
	wakeGather = 2 * time.Millisecond
	// wakeAgain is when a line is looked at again whose head found no room, or an earlier
	// message of its key pending, which may go to other subscribers alone, and when looking
	// has failed.
	wakeAgain = 200 * time.Millisecond
	// wakeAhead is how many open deliveries of one line are read at once, wakeAlone how many
	// if few lines are looked at.
	wakeAhead = 16
	wakeAlone = 128
	// linesBatch is the most lines that one statement looks at.
	linesBatch = 500
)

// waker collects the lines whose head in the table may have to be sent.
type waker struct {
	ready chan struct{}

	mu      sync.Mutex
	lines   map[sql.Line]bool
	delayed map[sql.Line]bool // that are looked at in a while
	walks   int               // how often a look at every line was asked for
	walking bool              // the last of these goes on
	after   sql.Line          // as far as it has come
}

func newWaker() *waker {
	return &waker{ready: make(chan struct{}, 1), lines: make(map[sql.Line]bool), delayed: make(map[sql.Line]bool)}
}

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

// later asks for a look at lines in a while; one without a key is none.
func (w *waker) later(lines ...sql.Line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	waited := len(w.delayed) > 0
	for _, l := range lines {
		if l.Key != "" {
			w.delayed[l] = true
		}
	}
	if !waited && len(w.delayed) > 0 {
		time.AfterFunc(wakeAgain, w.addDelayed)
	}
}

func (w *waker) addDelayed() {
	w.mu.Lock()
	maps.Copy(w.lines, w.delayed)
	clear(w.delayed)
	w.mu.Unlock()
	poke(w.ready)
}

// all asks for a look at every line, after shards were taken over.
func (w *waker) all() {
	w.mu.Lock()
	w.walks++
	w.walking, w.after = true, sql.Line{}
	w.mu.Unlock()
	poke(w.ready)
}

func (w *waker) take() (lines []sql.Line) {
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
	return lines
}

// position says how far the look at every line has come, if there is one.
func (w *waker) position() (walk int, after sql.Line, walking bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.walks, w.after, w.walking
}

// walked notes that a look at every line has come to the last of these, or to its end if
// there are none, unless another one has begun meanwhile.
func (w *waker) walked(walk int, lines []sql.Line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.walks != walk {
		return
	}
	if w.walking = len(lines) > 0; w.walking {
		w.after = lines[len(lines)-1]
		poke(w.ready)
	}
}

// wakeLines sends the heads of lines whose earlier message has come to its end, until ctx
// ends.
func (e *headFinder) wakeLines(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.waker.ready:
		}
		if !pause(ctx, wakeGather, nil) || e.writer.health.waitHealthy(ctx) != nil {
			return nil
		}
		lines := e.waker.take()
		crowded, err := e.wakeHeads(ctx, lines)
		if err != nil {
			crowded = lines
		} else {
			err = e.walkLines(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		e.waker.later(crowded...)
		e.trouble.note("wake keys", err)
		if err != nil {
			time.AfterFunc(wakeAgain, func() { poke(e.waker.ready) })
		}
	}
}

// walkLines looks at the next lines of all that the shards of this relay have, if that was
// asked for: a crash may have come between the end of a head and the waking of its successor.
// It goes on when the heads of these have found room.
func (e *headFinder) walkLines(ctx context.Context) error {
	walk, after, walking := e.waker.position()
	if !walking {
		return nil
	}
	lines, err := e.config.Store.UnfinishedLines(ctx, after, linesBatch)
	if err != nil {
		return err
	}
	crowded, err := e.wakeHeads(ctx, lines)
	if err != nil {
		return err
	}
	if len(crowded) > 0 {
		time.AfterFunc(wakeAgain, func() { poke(e.waker.ready) })
		return nil
	}
	e.waker.walked(walk, lines)
	return nil
}

// wakeHeads registers, of each line that has nothing under way in memory, the first
// deliveries if they wait for nothing but their key. It returns the lines whose heads found no
// room. Lines of a subscription without order are none: what waits of them goes.
func (e *headFinder) wakeHeads(ctx context.Context, lines []sql.Line) (crowded []sql.Line, err error) {
	own := e.lease.Load()
	var idle, free []sql.Line
	for _, l := range lines {
		switch {
		case !own.holds(relay.ShardOf(relay.ID{}, l.Key)), e.config.Rules.Rests(l.Subscription):
		case e.config.Rules.Unordered(l.Subscription):
			free = append(free, l)
		case e.order.idle(l):
			idle = append(idle, l)
		}
	}
	if err := e.freeLines(ctx, free); err != nil || len(idle) == 0 {
		return nil, err
	}
	heads, err := e.config.Store.LineHeads(ctx, idle, ahead(idle))
	if err != nil {
		return nil, err
	}
	return e.registerHeads(heads), nil
}

// registerHeads registers the first deliveries of lines, each line's in order, as far as they
// wait for nothing but their key.
func (e *headFinder) registerHeads(heads []sql.Head) (crowded []sql.Line) {
	var early []sql.Line               // an earlier message is on its way
	held := make(map[sql.Line]bool)    // its head waits for something else
	learned := make(map[sql.Line]bool) // its head is known
	for _, h := range heads {
		l := sql.Line{Subscription: h.ID.Subscription, Instance: h.ID.Instance, Key: h.Key}
		if held[l] || !h.Blocked || h.Dead && e.config.Rules.BlocksOnDead(l.Subscription) {
			held[l] = true
			continue
		}
		if !learned[l] && !h.Earlier {
			learned[l] = true
			e.order.heads(l, h.Seq)
		}
		held[l] = true
		if h.Earlier {
			e.registry.add([]entry{keyEntry(h.Key)})
			early = append(early, l)
			continue
		}
		switch room, known := e.registry.fits(entry{id: h.ID, key: h.Key, streamed: true}); {
		case known: // perhaps on its way into the table: nothing behind it may go meanwhile
			early = append(early, l)
		case !room:
			crowded = append(crowded, l)
		default:
			held[l] = false
		}
	}
	e.waker.later(early...)
	return crowded
}

// ahead is how many deliveries of each of the lines are read at once.
func ahead(lines []sql.Line) int {
	return max(wakeAhead, min(wakeAlone, linesBatch/len(lines)))
}

// freeLines makes due what still waits for its key although its subscription has no order any
// more.
func (e *headFinder) freeLines(ctx context.Context, lines []sql.Line) error {
	if len(lines) == 0 {
		return nil
	}
	lines = slices.DeleteFunc(lines, func(l sql.Line) bool { return e.quarantine.waits(ofLine(l)) })
	return inHalves(ctx, lines, func(some []sql.Line) error {
		n, err := e.config.Store.FreeLines(ctx, some, ahead(lines))
		if n > 0 {
			e.due.now()
			e.waker.later(some...) // there may be more
		}
		return err
	}, func(l sql.Line, why error) {
		wait := e.isolator.isolate(ofLine(l), why)
		time.AfterFunc(wait, func() { e.waker.add(l) })
	})
}

// ofLine is a line in quarantine whose deliveries cannot be made due.
func ofLine(l sql.Line) subject {
	return subject{operation: freeLine, id: sql.DeliveryID{Subscription: l.Subscription, Instance: l.Instance}, key: l.Key}
}

// leave leaves entries to the table that were to be read. A message is found by a sweep, but a
// delivery that waits for nothing but its key by a look at its line alone.
func (e *headFinder) leave(entries ...*entry) {
	for _, en := range entries {
		if !en.isMessage() {
			e.waker.later(sql.Line{Subscription: en.id.Subscription, Instance: en.id.Instance, Key: en.key})
		}
	}
	e.registry.leave(entries...)
}
