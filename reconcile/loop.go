package reconcile

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"relay"
	"relay/crash"
	"relay/reconcile/machine"
	"relay/sql"
	"relay/wait"
)

const (
	// mostUntold is how many events may wait before a doorbell has to wait for the loop.
	mostUntold = 1000
	// turnRounds is how often a goroutine that told the machine something tells it what has come meanwhile.
	turnRounds = 8
	// readAhead is how many pending messages of one key are read at once at first, mostAhead how many of a key that
	// goes fast.
	readAhead = 64
	mostAhead = 512
	// dueBatch is the most due rows that one statement finds.
	dueBatch = 500
)

// loop owns the machine: it is told what has happened, and has the workers carry out the machine's commands. Nothing
// in it waits for the database or for a destination. It has no goroutine of its own. One goroutine at a time has a
// turn with the machine: the one that tells something while no other has one. It also tells what others bring
// meanwhile (Hendler, Incze, Shavit and Tzafrir, "Flat Combining and the Synchronization-Parallelism Tradeoff",
// 2010). So the worker whose attempt has ended starts the next attempt of its key, and nothing has to wake up for
// that.
type loop struct {
	metrics  *Metrics
	machine  *machine.Machine
	carryOut func(machine.Command) // waits for nothing
	began    time.Time             // the zero of the machine's clock
	timer    *time.Timer           // brings the Tick that the machine wants
	told     int                   // changes of what is blocked that are known outside

	mu    sync.Mutex
	free  sync.Cond // nothing waits to be told, or the turn has ended
	inbox []machine.Event
	spare []machine.Event // the inbox of the turn before, to be filled again
	asks  []func(*machine.Machine)
	taken bool // a goroutine has its turn
	ended bool // nothing is heard any more

	// What others may know at any time.
	held    atomic.Pointer[machine.Held]
	failing atomic.Bool
	blocked atomic.Pointer[map[string]bool] // destinations
	left    int                             // as last counted
	swept   int                             // the same
	settled chan struct{}                   // receives when no outcome is to be written
}

func newLoop(config Config, carryOut func(machine.Command)) *loop {
	limits := make([]int, len(config.Groups))
	for i, g := range config.Groups {
		limits[i] = g.Limit
	}
	l := &loop{
		metrics: config.Metrics, carryOut: carryOut, began: time.Now(), settled: make(chan struct{}, 1),
		machine: machine.New(machine.Config{
			Policy: config.Policy, Entries: config.InFlight, Bytes: config.InFlightBytes, ReadAhead: readAhead, MostAhead: mostAhead,
			Batch: dueBatch, Sweeps: limits, Seed: uint64(time.Now().UnixNano()),
		}),
	}
	l.timer = time.AfterFunc(time.Hour, func() { l.tell(machine.Tick{}) })
	l.free.L = &l.mu
	l.held.Store(&machine.Held{})
	l.blocked.Store(&map[string]bool{})
	return l
}

// clock is the time by the machine's clock.
func (l *loop) clock(at time.Time) time.Duration { return at.Sub(l.began) }

// tell hands events to the machine. It waits for nothing but the machine's decisions.
func (l *loop) tell(events ...machine.Event) {
	l.mu.Lock()
	l.inbox = append(l.inbox, events...)
	l.takeTurn()
}

// events are answers as the machine is told them.
func events[E machine.Event](answers []E) []machine.Event {
	out := make([]machine.Event, len(answers))
	for i := range answers {
		out[i] = answers[i]
	}
	return out
}

// tellThen is tell, and calls heard when the machine has heard of the events.
func (l *loop) tellThen(heard func(), events ...machine.Event) {
	l.mu.Lock()
	l.inbox = append(l.inbox, events...)
	l.asks = append(l.asks, func(*machine.Machine) { heard() })
	l.takeTurn()
}

// announce is tell for a doorbell, which may announce more in a moment than memory holds: it waits until the machine
// has heard what was told before.
func (l *loop) announce(e machine.Event) {
	l.mu.Lock()
	for len(l.inbox) >= mostUntold && !l.ended {
		l.free.Wait()
	}
	l.inbox = append(l.inbox, e)
	l.takeTurn()
}

// ask has the machine answer a question after all events that were told before, and waits for the answer. It reports
// false if ctx ended before.
func ask[T any](ctx context.Context, l *loop, question func(*machine.Machine) T) (answer T, answered bool) {
	out := make(chan T, 1)
	l.mu.Lock()
	l.asks = append(l.asks, func(m *machine.Machine) { out <- question(m) })
	l.takeTurn()
	select {
	case answer = <-out:
		return answer, true
	case <-ctx.Done():
		return answer, false
	}
}

// takeTurn lets go of the mutex, which the caller holds, and tells the machine what waits, unless another goroutine
// does. The caller has other work to do: if much comes meanwhile, a goroutine takes over.
func (l *loop) takeTurn() {
	if l.taken || l.ended {
		l.mu.Unlock()
		return
	}
	l.taken = true
	l.mu.Unlock()
	for range turnRounds {
		if !l.round() {
			return
		}
	}
	go func() {
		for l.round() {
		}
	}()
}

// round tells the machine all that waits. It ends the turn and reports false if nothing does.
func (l *loop) round() bool {
	l.mu.Lock()
	events, asks := l.inbox, l.asks
	l.inbox, l.asks = l.spare[:0], nil
	l.spare = nil
	l.free.Broadcast()
	if len(events) == 0 && len(asks) == 0 || l.ended {
		l.taken, l.spare = false, events
		l.mu.Unlock()
		return false
	}
	l.mu.Unlock()
	for _, e := range events {
		l.step(e)
	}
	for _, question := range asks {
		question(l.machine)
	}
	l.publish()
	if clear(events); cap(events) <= 2*mostUntold {
		l.spare = events
	}
	return true
}

// run lets the machine be told things until ctx ends.
func (l *loop) run(ctx context.Context) {
	<-ctx.Done()
	l.timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.free.Broadcast()
	for l.taken {
		l.free.Wait()
	}
}

// step tells the machine one event, and has its commands carried out.
func (l *loop) step(e machine.Event) {
	commands := l.machine.Step(l.clock(time.Now()), e)
	if _, reported := e.(machine.Reported); reported {
		crash.At(crash.AfterRegister)
	}
	for _, c := range commands {
		l.carryOut(c)
	}
}

// wakeAt has the machine told a Tick at a time of its clock.
func (l *loop) wakeAt(at time.Duration) { l.timer.Reset(max(0, at-l.clock(time.Now()))) }

// sweepAll has everything in the table looked at that could be sent.
func (l *loop) sweepAll() { l.tell(machine.SweepNow{All: true}) }

// publish tells what others may know at any time.
func (l *loop) publish() {
	held := l.machine.Held()
	l.held.Store(&held)
	l.failing.Store(l.machine.Failing())
	if names, changes := l.machine.Blocked(); changes != l.told {
		copied := make(map[string]bool, len(names))
		for name := range names {
			copied[name] = true
		}
		l.told = changes
		l.blocked.Store(&copied)
	}
	left, swept := l.machine.Counts()
	if left > l.left {
		l.metrics.left.WithLabelValues(wantMessages).Add(float64(left - l.left))
	}
	if swept > l.swept {
		l.metrics.swept.Add(float64(swept - l.swept))
	}
	l.left, l.swept = left, swept
	if held.Writes == 0 {
		wait.Signal(l.settled)
	}
}

// measureEvery is how often it is measured what is in memory.
const measureEvery = 10 * time.Second

// measure shows in the metrics what is in memory, until ctx ends.
func (l *loop) measure(ctx context.Context) error {
	for wait.For(ctx, measureEvery) {
		held := l.held.Load()
		l.metrics.inFlight.Set(float64(held.Entries))
		l.metrics.bytes.Set(float64(held.Bytes))
		l.metrics.fannedOut.Set(float64(held.FannedOut))
	}
	return nil
}

// works reports whether outcomes can be written. It is asked several times for each message.
func (l *loop) works() bool { return !l.failing.Load() }

// waitWorking waits until outcomes can be written, and reports false if ctx ends before.
func (l *loop) waitWorking(ctx context.Context) bool {
	for !l.works() {
		if !wait.For(ctx, roomEvery) {
			return false
		}
	}
	return true
}

// finish waits until every outcome is written, or until ctx ends.
func (l *loop) finish(ctx context.Context) (unwritten int) {
	for {
		writes, answered := ask(ctx, l, func(m *machine.Machine) int { return m.Held().Writes })
		switch {
		case !answered:
			return l.held.Load().Writes
		case writes == 0:
			return 0
		}
		select {
		case <-l.settled:
		case <-ctx.Done():
			return writes
		}
	}
}

// sender makes attempts.
type sender struct{ *shared }

// send has an attempt made, or only asks whether its instance still exists.
func (s *sender) send(c machine.Send) {
	now := time.Now()
	d, due := c.Delivery, now.Add(-c.Waited)
	ended := func(o relay.Outcome) {
		s.loop.tell(machine.AttemptEnded{Entry: c.Entry, Subscription: d.Subscriber.Name, Instance: d.Instance, Outcome: o})
	}
	if c.Check {
		go func() {
			gone := s.config.Gone != nil && s.config.Gone(context.Background(), d)
			ended(relay.Outcome{Class: relay.ClassDead, Gone: gone})
		}()
		return
	}
	d.Since = now
	s.config.Dispatcher.Dispatch(d, c.Due, func(o relay.Outcome) {
		crash.At(crash.AfterAnswer)
		if o.Class.Accepted() {
			s.config.Metrics.pulse.Accepted(o.Class, time.Since(due), !c.Due)
		}
		ended(o)
	})
}

// memory bounds what is being read, beside what the machine holds.
type memory struct {
	*shared
	reserved atomic.Int64
}

// smallReads is what a read is granted while the bytes are used up, as long as they are not exceeded by more than a
// quarter: small messages do not wait behind large ones.
const smallReads = 256 << 10

// reserve returns the limits of one read, whose budget is reserved: zero if all is to be left to the table.
func (m *memory) reserve() sql.Limits {
	most := m.config.InFlightBytes
	used := m.loop.held.Load().Bytes + m.reserved.Load()
	granted := min(max(most/readers, m.config.MaxPayload), most-used)
	if granted < smallReads && used < most+most/4 {
		granted = smallReads
	}
	granted = max(0, granted)
	m.reserved.Add(granted)
	return sql.Limits{MaxPayload: m.config.MaxPayload, Budget: granted, Words: m.config.Subscriptions.WantsAcks()}
}

// tell tells the machine what was read, and gives back what was reserved for it when the machine has heard of that.
func (m *memory) tell(reserved int64, events []machine.Event) {
	m.loop.tellThen(func() { m.reserved.Add(-reserved) }, events...)
}
