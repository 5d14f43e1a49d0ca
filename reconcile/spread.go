package reconcile

import (
	"context"
	"slices"
	"time"

	"relay"
	"relay/sql"
)

// A message of a broadcast is first one delivery without an instance, whose attempt looks
// the instances up, and then one for each. In the order of its key the first is a gate: only
// its head is spread, into the lines of the instances and in one go, before the next one may
// be; hence each instance's line has the order of the gate.

// spread replaces a delivery whose host name has been resolved by one for each instance: in
// memory if the message has not been taken up yet, else in the table.
func (l *dispatch) spread(instances []string) {
	f, e := l.task, l.task.engine
	dispatches := make([]*dispatch, len(instances))
	for i, instance := range instances {
		d := *l.delivery
		d.Instance, d.Attempt = instance, 1
		dispatches[i] = newDispatch(f, &d)
		if !l.ordered() {
			dispatches[i].line = sql.Line{} // it stands outside the order, as the one it comes from
		}
	}
	if !f.state.taking {
		l.spreadOpen(dispatches)
		return
	}
	lines, err := e.rows.retainLines(context.Background(), dispatches)
	if err != nil {
		e.rows.noteRead(context.Background(), err)
		l.ended(relay.Outcome{Class: relay.ClassParked}) // as if it had not been tried
		return
	}
	defer e.order.letGo(lines)
	if !f.replace(l, dispatches) {
		l.spreadOpen(dispatches)
		return
	}
	for _, next := range dispatches {
		next.launch()
	}
	l.passed()
}

// replace puts the dispatches in the place of one that is not over, unless the message has been
// taken up meanwhile.
func (f *task) replace(l *dispatch, dispatches []*dispatch) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.split {
		return false
	}
	if len(f.dispatches) == 1 && len(dispatches) > 1 {
		time.AfterFunc(splitAfter, f.takeUp)
	}
	at := slices.Index(f.dispatches, l)
	f.dispatches = slices.Concat(f.dispatches[:at], dispatches, f.dispatches[at+1:])
	f.left += len(dispatches) - 1
	return true
}

// spreadOpen writes the instances' deliveries in the place of the one that stands in the
// table. Without order they are due at once, else they wait for their keys to be woken.
func (l *dispatch) spreadOpen(dispatches []*dispatch) {
	e, fresh := l.task.engine, state{due: l.task.state.due}
	outcome := relay.Outcome{Class: relay.ClassParked}
	if l.ordered() {
		outcome = parkedBehind()
	}
	change := e.starter.change(l.delivery, fresh, outcome)
	var lines []sql.Line
	for _, next := range dispatches {
		if next.ordered() {
			lines = append(lines, next.line)
		}
		c := e.starter.change(next.delivery, fresh, outcome)
		if !l.ordered() {
			c.NextAttempt = 0
		}
		change.Spread = append(change.Spread, c)
	}
	e.writer.waiting.put(l.entry, []sql.Change{change}, func() {
		for _, line := range lines {
			e.order.learn(line, 0)
		}
		e.waker.add(lines...)
		if !l.ordered() {
			e.due.hint(time.Now())
		}
		l.passed()
	})
}

// passed lets the next message of the key through the gate.
func (l *dispatch) passed() {
	if !l.ordered() {
		return
	}
	order := l.task.engine.order
	if next := order.ended(l, true); next != nil {
		next.dispatch()
	}
	order.settled(l, false)
}
