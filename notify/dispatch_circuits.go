package notify

import (
	"strings"
	"time"

	"relay"
)

// sharedOrigin is the circuit of failures to connect that all targets in rows of a technology
// share.
type sharedOrigin struct {
	circuit    *circuit
	technology *Technology
}

// gates returns the circuits that an attempt in a lane has to pass. target names that of a
// row's own HTTP target; empty: there is none.
func (d *Dispatcher) gates(l *lane, target string) gates {
	switch {
	case !l.direct:
		return gates{origin: l.circuit}
	case l.origin != nil:
		return gates{origin: l.origin, target: l.circuit}
	case target == "":
		return gates{origin: l.circuit}
	}
	return gates{origin: l.circuit, target: d.targets.find(target)}
}

// conclude tells the circuits how an attempt ended, and reports whether more goes out from now
// on.
func (d *Dispatcher) conclude(l *lane, it item, o relay.Outcome, now time.Time) (freed bool) {
	it.probes.unprobe()
	if o.Lack != relay.ResourceNone {
		d.gates(l, it.target).origin.lacks(o.Lack, o.RetryAfter, now)
		return false
	}
	origin, target := signsOf(o, it.shared)
	held := o.RetryAfter
	tell := func(c *circuit, s sign, held time.Duration) {
		if c == nil {
			return
		}
		c.hold(held, now)
		retry := time.Duration(0)
		if s == signFailing {
			retry = d.config.Retry(it.delivery, it.delivery.Attempt)
		}
		changed, more := c.note(s, it.delivery.Message.ID, retry, now)
		if changed {
			c.explain(o.Error, now)
			d.reported.changed(c, l.direct, c.now().open, o.Error)
		}
		freed = freed || more
	}
	if !l.direct {
		tell(l.circuit, both(origin, target), held)
		return freed
	}
	passes := d.gates(l, it.target)
	if it.target != "" && passes.target == nil && (target == signFailing || held > 0) {
		passes.target = d.failing(it.target, now)
	}
	tell(passes.origin, origin, 0)
	tell(passes.target, target, held)
	if it.target != "" && passes.target != nil && target == signWell {
		d.targets.forget(it.target, now)
	}
	return freed
}

// failing returns the circuit of a row's own HTTP target that has failed.
func (d *Dispatcher) failing(name string, now time.Time) *circuit {
	c, closed := d.targets.failing(name, now)
	if closed {
		d.reported.forgotten(true)
	}
	return c
}

// Room reports how many deliveries that wait for a circuit would start soon: zero while it is
// open, one if it is open and needs a probe. direct says that rows named the destination.
// Wake says when it is worth asking again.
func (d *Dispatcher) Room(name string, direct bool) int {
	now := time.Now()
	lane, target := name, ""
	var shared *sharedOrigin // of a row's own target
	if direct {
		if shared = d.origins[relay.OriginOfCircuit(name)]; shared == nil {
			lane = relay.OriginOfCircuit(name)
		}
		if lane != name {
			target = name
		}
	}
	d.mu.Lock()
	l, found := d.lanesOf(direct).find(lane)
	d.mu.Unlock()
	switch {
	case found:
	case shared != nil:
		return gates{origin: shared.circuit}.room(shared.technology.Concurrency, now)
	default:
		return gates{target: d.targets.find(target)}.room(d.config.Technologies.leastConcurrency(), now)
	}
	passes := d.gates(l, target)
	if passes.room(1, now) == 0 {
		return 0 // the lane may be busy with other targets: its running empty changes nothing
	}
	l.mu.Lock()
	l.starved = true
	room := d.roomLeft(l, l.room(now))
	l.mu.Unlock()
	return passes.room(room, now)
}

// Up closes the circuit of a subscription or of the default destination at once: there is
// reason to believe that it can be reached again.
func (d *Dispatcher) Up(name string) {
	d.mu.Lock()
	l, found := d.operators.find(name)
	d.mu.Unlock()
	if !found {
		return
	}
	if l.circuit.up() {
		d.reported.changed(l.circuit, l.direct, false, "")
	}
	d.ring()
}

// UpInstances closes the circuits of a broadcast's instances at once.
func (d *Dispatcher) UpInstances(subscription string) {
	d.upWhere(func(l *lane) bool { return !l.direct && strings.HasPrefix(l.name, subscription+"/") })
}

// UpTechnology closes the circuits of all that goes by a technology at once: what its targets
// have in common, such as the broker, takes messages again.
func (d *Dispatcher) UpTechnology(name string) {
	for _, shared := range d.origins {
		if shared.technology.Name == name && shared.circuit.up() {
			d.reported.changed(shared.circuit, true, false, "")
		}
	}
	d.upWhere(func(l *lane) bool { return l.technology == name })
	d.ring()
}

func (d *Dispatcher) upWhere(concerned func(*lane) bool) {
	d.mu.Lock()
	all := d.all()
	d.mu.Unlock()
	found := false
	for _, l := range all {
		l.mu.Lock()
		concerns := concerned(l)
		l.mu.Unlock()
		if !concerns {
			continue
		}
		found = true
		if l.circuit.up() {
			d.reported.changed(l.circuit, l.direct, false, "")
		}
	}
	if found {
		d.ring()
	}
}
