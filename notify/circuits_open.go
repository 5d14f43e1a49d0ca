package notify

import (
	"cmp"
	"slices"
	"time"

	"relay"
)

// OpenCircuit is a destination that is down, as people may see it.
type OpenCircuit struct {
	Name  string    // a subscription, the default destination, or what a row names
	ByRow bool      // a row named it, no operator
	Since time.Time // when it opened
	Why   string    // the error that opened it
}

// OpenCircuits lists the circuits that are open, those of operators first.
func (d *Dispatcher) OpenCircuits() []OpenCircuit {
	d.mu.Lock()
	all := d.all()
	d.mu.Unlock()
	var open []OpenCircuit
	add := func(c *circuit, byRow bool) {
		if state := c.now(); state.open {
			open = append(open, OpenCircuit{Name: relay.ShowCircuit(c.name), ByRow: byRow, Since: state.since, Why: state.why})
		}
	}
	for _, l := range all {
		add(l.circuit, l.direct)
	}
	d.mu.Lock()
	for _, shared := range d.origins {
		add(shared.circuit, true)
	}
	d.mu.Unlock()
	for _, c := range d.targets.open() {
		add(c, true)
	}
	slices.SortFunc(open, func(a, b OpenCircuit) int {
		if a.ByRow != b.ByRow {
			return map[bool]int{false: -1, true: 1}[a.ByRow]
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return open
}

// Open names the circuits that are open, those of operators first.
func (d *Dispatcher) Open() []string {
	open := d.OpenCircuits()
	names := make([]string, len(open))
	for i, c := range open {
		names[i] = c.Name
	}
	return names
}
