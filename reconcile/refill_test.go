package reconcile

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"relay/sql"
)

// A delivery is parked while the table is asked, by a statement that does not see it yet.
func TestACircuitThatIsAddedWhileItIsReadIsNotForgotten(t *testing.T) {
	t.Parallel()
	b, c := newBacklog(), sql.Parked{Circuit: "c"}
	b.add(c)
	from := b.position(c)
	b.add(c)
	b.advance(c, from, 0, true)
	if got := b.circuits(); !slices.Equal(got, []sql.Parked{c}) {
		t.Errorf("circuits %v", got)
	}
	b.advance(c, b.position(c), 0, true)
	if got := b.circuits(); len(got) != 0 {
		t.Errorf("circuits %v after nothing was found", got)
	}
}

// Rows may name any number of destinations: neither the memory nor the round of what an
// operator configured may grow with them, and each of them has its turn.
func TestTheCircuitsThatRowsNameAreLookedAtInParts(t *testing.T) {
	t.Parallel()
	b, subscription := newBacklog(), sql.Parked{Circuit: "sub"}
	b.add(subscription)
	var table []sql.Parked
	for n := range 2*directCircuits + 10 {
		table = append(table, sql.Parked{Circuit: fmt.Sprintf("http://h%05d:80", n), Direct: true})
		b.add(table[n])
	}
	seen := make(map[sql.Parked]bool)
	for range 3 {
		now := b.looked.Add(lookEvery)
		part, stale := b.stale(now)
		from := slices.IndexFunc(table, func(p sql.Parked) bool { return p.Circuit > part })
		b.found(table[from:min(from+directCircuits, len(table))], now)
		all := b.circuits()
		if !stale || len(all) > 1+directCircuits || all[0] != subscription {
			t.Fatalf("stale %v, %d circuits, the first is %v", stale, len(all), all[0])
		}
		for _, c := range all {
			seen[c] = true
		}
	}
	if len(seen) != 1+len(table) {
		t.Errorf("%d circuits had their turn, want %d", len(seen), 1+len(table))
	}
	if b.part != "" || b.turn != "" || b.untilLook(time.Now()) > lookEvery {
		t.Errorf("after the last part the next is %q", b.part)
	}
	b.came(table[len(table)-5].Circuit, true, time.Now())
	if next := b.circuits()[1]; next != table[len(table)-4] {
		t.Errorf("the next round begins with %v", next)
	}
}
