package reconcile

import (
	"time"

	"relay"
	"relay/crash"
	"relay/sql"
)

// dispatch is one delivery of a task.
type dispatch struct {
	task     *task
	delivery *relay.Delivery
	line     sql.Line // zero: it waits for no key
	entry    *entry   // of its own, once its message is open
	change   sql.Change
	over     bool // change is its outcome
	behind   bool // another one of its line came before it when the relay stopped
}

func (l *dispatch) ordered() bool { return l.line != sql.Line{} }

func newDispatch(f *task, d *relay.Delivery) *dispatch {
	l := &dispatch{task: f, delivery: d}
	if !f.state.Accepted {
		l.line = lineOf(d)
	}
	return l
}

// launch has the attempt made when the dispatch's line lets it. The line is retained.
func (l *dispatch) launch() {
	if !l.ordered() {
		l.dispatch()
		return
	}
	switch l.task.engine.order.enter(l) {
	case admitted:
		l.dispatch()
	case refused:
		l.task.note(l, parkedBehind())
	}
}

// dispatch has the attempt made, unless too many outcomes of its destination cannot be written.
func (l *dispatch) dispatch() {
	if l.task.engine.writer.apart.unwritten.crowded(l.delivery.Circuit()) {
		time.AfterFunc(crowdedWait, func() { l.ended(relay.Outcome{Class: relay.ClassParked}) })
		return
	}
	l.task.engine.config.Dispatcher.Dispatch(l.delivery, l.task.due, l.ended)
}

// parkedBehind is the outcome of a dispatch that waits for its key in the table.
func parkedBehind() relay.Outcome {
	return relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonKeyBlocked}
}

// ended takes the outcome of the attempt, lets the line go on, and sees to it that the
// outcome is written.
func (l *dispatch) ended(o relay.Outcome) {
	crash.At(crash.AfterAnswer)
	e, f := l.task.engine, l.task
	if f.state.taking && o.Class.Accepted() {
		e.config.Metrics.latency.Observe(time.Since(f.state.due).Seconds())
	}
	if o.Class.Accepted() {
		e.config.Metrics.accepted(o.Class, time.Since(f.state.due))
	}
	switch {
	case o.Class == relay.ClassResolved:
		l.spread(o.Instances)
	case !l.ordered():
		f.note(l, o)
	case stopping(o):
		behind := e.order.drop(l)
		f.note(l, o)
		for _, next := range behind {
			next.behind = true
			next.task.note(next, o)
		}
	default:
		change := e.starter.change(l.delivery, f.state, o)
		next := e.order.ended(l, goesOn(l, o, change.Status))
		f.note(l, o)
		if next != nil {
			next.dispatch()
		}
	}
}

// goesOn reports whether the outcome lets the next message of the key go.
func goesOn(l *dispatch, o relay.Outcome, status relay.DeliveryStatus) bool {
	switch status {
	case relay.DeliveryDead:
		return !l.delivery.Subscriber.BlockOnDead
	case relay.DeliveryCancelled: // its instance is gone
		return true
	}
	return o.Class.Accepted()
}

// stopping reports whether an attempt was not made because the relay stops.
func stopping(o relay.Outcome) bool {
	return o.Class == relay.ClassParked && o.Reason == relay.ReasonNone
}

// settled is called when the dispatch's outcome is written, or is not to be written any more.
func (l *dispatch) settled() {
	if !l.ordered() {
		return
	}
	parked := l.change.Reason == relay.ReasonKeyBlocked
	for _, next := range l.task.engine.order.settled(l, parked) {
		next.task.note(next, parkedBehind())
	}
}
