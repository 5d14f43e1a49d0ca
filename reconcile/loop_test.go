package reconcile

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"relay"
	"relay/reconcile/machine"
	"relay/schedule"
)

// testLoop returns a loop that owns shard 0, what it wants to be read, and what ends it.
func testLoop(t *testing.T) (l *loop, toRead *queue[machine.ReadRow], end func()) {
	t.Helper()
	toRead = newQueue[machine.ReadRow]()
	l = newLoop(Config{
		Groups: []schedule.Group{{Limit: 10}}, InFlight: 1 << 20, InFlightBytes: 1 << 30, Metrics: NewMetrics(nil),
	}, func(c machine.Command) {
		switch c := c.(type) {
		case machine.ReadRow:
			toRead.push(c)
		case machine.WakeAt:
			l.wakeAt(c.At)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { l.run(ctx); close(ended) }()
	end = func() { cancel(); <-ended }
	t.Cleanup(end)
	l.tell(machine.Leased{Shard: 0, Epoch: 1}, machine.Renewed{Until: time.Hour})
	return l, toRead, end
}

func report() machine.Reported {
	return machine.Reported{Rows: []machine.Report{{ID: relay.NewID(), XID: 1}}}
}

// TestEveryEventIsHeardOnce has many goroutines tell and ask at once. The race detector sees it if two have the machine
// at a time.
func TestEveryEventIsHeardOnce(t *testing.T) {
	const tellers, each = 16, 500
	l, toRead, _ := testLoop(t)
	asked := 0 // by the goroutine whose turn it is
	var all sync.WaitGroup
	for range tellers {
		all.Go(func() {
			for i := range each {
				if i%2 == 0 {
					l.tell(report())
				} else {
					l.announce(report())
				}
				if i%10 == 0 {
					ask(t.Context(), l, func(*machine.Machine) int { asked++; return asked })
				}
			}
		})
	}
	all.Wait()
	entries, _ := ask(t.Context(), l, func(m *machine.Machine) int { return m.Held().Entries })
	if entries != tellers*each || asked != tellers*each/10 {
		t.Errorf("%d of %d events were heard, %d of %d questions answered", entries, tellers*each, asked, tellers*each/10)
	}
	if n := toRead.waiting(); n != tellers*each {
		t.Errorf("%d rows are to be read", n)
	}
}

// TestTheTellerDoesNotStay holds the machine up while much comes: the one who told something returns nevertheless.
func TestTheTellerDoesNotStay(t *testing.T) {
	l, _, _ := testLoop(t)
	again := make(chan struct{})
	var keepAsking func(*machine.Machine)
	keepAsking = func(*machine.Machine) {
		select {
		case <-again:
			l.mu.Lock()
			l.asks = append(l.asks, keepAsking)
			l.mu.Unlock()
		case <-t.Context().Done():
		}
	}
	l.mu.Lock()
	l.asks = append(l.asks, keepAsking)
	l.mu.Unlock()
	returned := make(chan struct{})
	go func() { l.tell(machine.Tick{}); close(returned) }()
	for range turnRounds {
		again <- struct{}{}
	}
	<-returned
	again <- struct{}{} // the goroutine that has taken over
}

// TestALoopThatHasEnded hears nothing and holds no goroutine up.
func TestALoopThatHasEnded(t *testing.T) {
	l, _, end := testLoop(t)
	held := make(chan struct{})
	go ask(t.Context(), l, func(*machine.Machine) error { <-held; return nil })
	for !taken(l) {
		runtime.Gosched()
	}
	for range mostUntold {
		l.tell(report())
	}
	announced := make(chan struct{})
	go func() { l.announce(report()); close(announced) }()
	select {
	case <-announced:
		t.Fatal("the doorbell did not wait")
	case <-time.After(10 * time.Millisecond):
	}
	ended := make(chan struct{})
	go func() { end(); close(ended) }()
	<-announced // although the turn goes on
	select {
	case <-ended:
		t.Error("the loop ended before the turn")
	default:
	}
	close(held)
	<-ended
	l.tell(report())
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("nobody answers"))
	if _, answered := ask(ctx, l, (*machine.Machine).Held); answered {
		t.Error("a question was answered")
	}
}

func taken(l *loop) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

// TestTheMachineIsWokenInTime has the machine ask for a time: a row that cannot be read is asked for again.
func TestTheMachineIsWokenInTime(t *testing.T) {
	l, toRead, _ := testLoop(t)
	row := report()
	l.tell(row)
	for range 3 {
		<-toRead.ready
		for _, c := range toRead.take(10) {
			l.tell(machine.RowRead{Entry: c.Entry, Failed: true})
		}
	}
}
