package notify

import (
	"strings"

	"relay"
)

// Up closes a circuit at once: the destination itself says that it can be reached again.
func (d *Dispatcher) Up(name string) {
	d.mu.Lock()
	l := d.lanes[name]
	d.mu.Unlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	changed := l.circuit.close()
	l.mu.Unlock()
	if changed {
		d.report(name, false, relay.Outcome{})
	}
	d.ring()
}

// UpInstances closes the circuits of a broadcast's instances at once.
func (d *Dispatcher) UpInstances(subscription string) {
	d.upWhere(func(l *lane) bool { return strings.HasPrefix(l.name, subscription+"/") })
}

// UpBroker closes the circuits of all that goes over the broker at once: it takes messages
// again.
func (d *Dispatcher) UpBroker() {
	d.upWhere(func(l *lane) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.broker
	})
}

func (d *Dispatcher) upWhere(concerned func(*lane) bool) {
	d.mu.Lock()
	var names []string
	for name, l := range d.lanes {
		if concerned(l) {
			names = append(names, name)
		}
	}
	d.mu.Unlock()
	for _, name := range names {
		d.Up(name)
	}
}

// Open lists the circuits that are open.
func (d *Dispatcher) Open() (names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, l := range d.lanes {
		l.mu.Lock()
		if l.circuit.open {
			names = append(names, name)
		}
		l.mu.Unlock()
	}
	return names
}

// report logs and counts that a circuit has opened or closed.
func (d *Dispatcher) report(name string, open bool, o relay.Outcome) {
	d.config.Metrics.circuit(open)
	if open {
		d.config.Log.Warn("destination is down: its messages wait in the table and one at a time probes it", "destination", name, "error", o.Error)
		return
	}
	d.config.Log.Info("destination is up again", "destination", name)
}
