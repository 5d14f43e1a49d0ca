package notify

import (
	"testing"
	"time"

	"relay"
)

// noted counts the attempts that it is told of.
type noted struct{ attempts int }

func (n *noted) Attempt(*relay.Delivery, relay.Outcome) { n.attempts++ }

func TestWithoutTracerAnAttemptCostsNothingMore(t *testing.T) {
	d := &Dispatcher{}
	delivery, outcome := &relay.Delivery{}, relay.Outcome{Class: relay.ClassHandled, Duration: time.Millisecond}
	if n := testing.AllocsPerRun(100, func() { d.trace(delivery, outcome) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	tracer := new(noted)
	d.config.Tracer = tracer
	d.trace(delivery, outcome)
	if tracer.attempts != 1 {
		t.Errorf("told of %d attempts, want 1", tracer.attempts)
	}
}

func BenchmarkNoTracer(b *testing.B) {
	d := &Dispatcher{}
	delivery, outcome := &relay.Delivery{}, relay.Outcome{Class: relay.ClassHandled, Duration: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		d.trace(delivery, outcome)
	}
}
