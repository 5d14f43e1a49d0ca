package notify

import (
	"time"

	"relay"
)

// evictLook is how many idle destinations are looked at, those used longest ago, for one of
// which nothing is known that matters.
const evictLook = 64

// lanesOf returns the lanes of operators, or those of rows' own targets.
func (d *Dispatcher) lanesOf(direct bool) *recent[*lane] {
	if direct {
		return d.rows
	}
	return d.operators
}

// all lists every lane. The caller holds the mutex.
func (d *Dispatcher) all() []*lane {
	all := make([]*lane, 0, d.operators.len()+d.rows.len())
	for _, lanes := range []*recent[*lane]{d.operators, d.rows} {
		for _, l := range lanes.oldest {
			all = append(all, l)
		}
	}
	return all
}

// lane returns the lane of an item, making it if need be, or nil after Stop, and notes what the
// item's target means for circuits. To look addresses up is no attempt, so the subscription's
// own limits do not apply to it.
func (d *Dispatcher) lane(it *item, now time.Time) *lane {
	delivery := it.delivery
	circuits, direct := delivery.Circuits(), delivery.Direct()
	if circuits.Target != circuits.Lane {
		it.target = circuits.Target
	}
	technology, err := d.config.Technologies.Of(delivery.Subscriber.Target)
	if err != nil { // its attempt says so
		technology = &Technology{Name: noTechnology, Concurrency: 1}
	}
	it.shared = technology.shares(delivery.Subscriber.Target) && (direct || delivery.Subscriber.Name == relay.SubscriptionDefault)
	limit, rate := technology.Concurrency, delivery.Subscriber.RateLimit
	if delivery.Unresolved() {
		rate = 0
	} else if own := delivery.Subscriber.Concurrency; own > 0 {
		limit = own
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return nil
	}
	lanes := d.lanesOf(direct)
	l, found := lanes.use(circuits.Lane)
	if !found {
		if lanes.len() >= maxLanes {
			d.evict(lanes, now)
		}
		l = &lane{name: circuits.Lane, direct: direct, circuit: newCircuit(circuits.Lane)}
		if shared := d.origins[circuits.Origin]; shared != nil && direct {
			l.origin = shared.circuit
		}
		lanes.add(circuits.Lane, l)
	}
	l.mu.Lock()
	l.used = now
	l.technology = technology.Name
	l.configure(limit, rate)
	l.mu.Unlock()
	return l
}

// evict forgets the destination that was used longest ago of those with nothing under way,
// if need be one that is down. The caller holds the mutex.
func (d *Dispatcher) evict(lanes *recent[*lane], now time.Time) {
	var oldest *lane
	looked := 0
	for _, l := range lanes.oldest {
		l.mu.Lock()
		idle := l.idle()
		l.mu.Unlock()
		if !idle {
			continue
		}
		if looked++; oldest == nil {
			oldest = l
		}
		if !l.circuit.now().matters(now) {
			oldest = l
			break
		}
		if looked == evictLook {
			break
		}
	}
	if oldest != nil {
		d.forget(lanes, oldest)
	}
}

// forget drops a lane. The caller holds the mutex.
func (d *Dispatcher) forget(lanes *recent[*lane], l *lane) {
	lanes.remove(l.name)
	if l.circuit.retire() {
		d.reported.forgotten(l.direct)
	}
}

// expire parks what waited too long and forgets destinations that are no longer used. It
// reports whether anything still waits.
func (d *Dispatcher) expire(now time.Time) (more bool) {
	d.shortages.expire(now)
	for range d.targets.expire(now) {
		d.reported.forgotten(true)
	}
	d.mu.Lock()
	for _, lanes := range []*recent[*lane]{d.operators, d.rows} {
		for _, l := range lanes.oldest {
			l.mu.Lock()
			forgettable := l.forgettable(now)
			l.mu.Unlock()
			if forgettable {
				d.forget(lanes, l)
			}
		}
	}
	all := d.all()
	d.mu.Unlock()
	for _, l := range all {
		l.mu.Lock()
		waited := l.expired(now, func(it item) *circuit { return d.gates(l, it.target).closed(false, now) })
		more = more || l.queued() > 0
		full := l.full()
		l.mu.Unlock()
		for _, r := range waited {
			if r.closed == nil {
				r.item.done(full)
				continue
			}
			r.item.park(r.closed)
		}
	}
	return more
}
