package machine

import (
	"fmt"
	"testing"
	"time"

	"relay"
)

// named are destinations that rows name.
func named(from, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("http://%05d", from+i))
	}
	return names
}

// commands takes the commands of one type, and drops the others.
func commands[T Command](d *driver) (out []T) {
	for _, c := range d.take() {
		if c, ok := c.(T); ok {
			out = append(out, c)
		}
	}
	return out
}

// only takes the one command of a type, and drops those of other types.
func only[T Command](d *driver) T {
	d.t.Helper()
	got := commands[T](d)
	if len(got) != 1 {
		d.t.Fatalf("commands %+v, want one", got)
	}
	return got[0]
}

// listed is a machine that has asked the table which destinations have something parked.
func listed(t *testing.T) *driver {
	t.Helper()
	d := drive(t, testConfig)
	d.quiet = false
	d.idle = true
	d.do(SweepNow{All: true})
	if c := only[FindBacklog](d); c.After != "" {
		t.Fatalf("lists behind %q", c.After)
	}
	return d
}

// noRoom lets time pass and answers that destinations have no room. It returns how the table was listed meanwhile.
func noRoom(d *driver, after time.Duration, asked ...string) (lists []FindBacklog) {
	for _, name := range asked {
		d.do(Room{Destination: name})
	}
	d.wait(after)
	for _, c := range d.take() {
		switch c := c.(type) {
		case FindBacklog:
			lists = append(lists, c)
		case AskRoom:
			d.m.Step(d.now, Room{Destination: c.Destination}) // all at one time, so that none is asked again meanwhile
		}
	}
	d.take()
	return lists
}

// Destinations that rows name are looked at in parts, one each second: the next part takes the place of the last.
func TestBacklogIsListedInParts(t *testing.T) {
	t.Parallel()
	d := listed(t)
	first := named(0, 3)
	d.do(Backlog{Destinations: append(first, "s"), After: first[2]})
	if got := commands[AskRoom](d); len(got) != 4 {
		t.Fatalf("asks %+v for room, want 4 destinations", got)
	}
	if got := noRoom(d, listOnEvery/2, append(first, "s")...); len(got) != 0 {
		t.Fatalf("lists the next part at once: %+v", got)
	}
	if got := noRoom(d, listOnEvery/2); len(got) != 1 || got[0].After != first[2] {
		t.Fatalf("lists %+v, want the next part", got)
	}
	d.do(Backlog{Destinations: []string{"http://b"}}) // what was parked for s just now is not there yet
	for _, name := range first {
		if d.m.destinations.byName[name] != nil {
			t.Fatalf("%s of the part before is still looked at", name)
		}
	}
	if d.m.destinations.named != 1 || len(d.m.destinations.asking) != 2 {
		t.Fatalf("looks at %d, of which rows name %d", len(d.m.destinations.asking), d.m.destinations.named)
	}
	d.take()
	d.wait(listEvery + 10*time.Millisecond)
	if got := commands[FindBacklog](d); len(got) != 1 || got[0].After != "" {
		t.Fatalf("lists %+v, want once, from the beginning", got)
	}
}

func TestBacklogThatFailsIsListedAgain(t *testing.T) {
	t.Parallel()
	d := listed(t)
	d.do(Backlog{Failed: true})
	d.take()
	d.wait(listFailed + time.Millisecond)
	if got := commands[FindBacklog](d); len(got) != 1 {
		t.Fatalf("lists %+v", got)
	}
}

// However many destinations rows name, those of operators are looked at, and no more than namedMost of the others.
func TestDestinationsThatRowsNameAreBounded(t *testing.T) {
	t.Parallel()
	d := listed(t)
	d.do(Backlog{Destinations: named(0, namedMost+5), After: "http://9"})
	d.take()
	ds := &d.m.destinations
	if ds.named != namedMost || len(ds.asking) != namedMost || len(ds.byName) != namedMost {
		t.Fatalf("looks at %d, of which rows name %d, and knows %d", len(ds.asking), ds.named, len(ds.byName))
	}
	ds.noteParked(ds.of("s"))
	if !ds.of("s").parked || len(ds.asking) != namedMost+1 {
		t.Fatal("a destination of an operator is not looked at")
	}
	ds.noteParked(ds.of("http://x"))
	if ds.of("http://x").parked {
		t.Fatal("one more that rows name is looked at")
	}
	x := ds.of("http://x")
	if x.waiting = []*delivery{{}}; !ds.askBy(x, d.now) {
		t.Fatal("one for which a delivery waits in memory is not asked for room")
	}
}

// A whole part finds its place, since the one before leaves it.
func TestNextPartTakesThePlaceOfTheLast(t *testing.T) {
	t.Parallel()
	d := listed(t)
	d.do(Backlog{Destinations: named(0, namedMost), After: "http://9"})
	for _, c := range commands[AskRoom](d) {
		d.do(Room{Destination: c.Destination})
	}
	if got := noRoom(d, listOnEvery); len(got) != 1 {
		t.Fatalf("lists %+v", got)
	}
	d.do(Backlog{Destinations: named(5000, namedMost)})
	for _, name := range named(5000, namedMost) {
		if d.m.destinations.byName[name] == nil || !d.m.destinations.byName[name].parked {
			t.Fatalf("%s is not looked at", name)
		}
	}
}

// What is parked while a pass looks for what is parked is looked for by another.
func TestParkedDuringAPassIsLookedFor(t *testing.T) {
	t.Parallel()
	d := listed(t)
	d.do(Backlog{Destinations: []string{"s"}})
	one[AskRoom](d)
	d.do(Room{Destination: "s", Deliveries: 1})
	one[ReadParked](d)
	d.m.destinations.noteParked(d.m.destinations.of("s"))
	d.do(Parked{Destination: "s", End: true})
	if !d.m.destinations.of("s").parked {
		t.Fatal("it is forgotten")
	}
}

func TestRoomIsAskedForAsSoonAsADestinationHasWorked(t *testing.T) {
	t.Parallel()
	d := listed(t)
	d.do(Backlog{Destinations: []string{"s"}})
	only[AskRoom](d)
	d.do(Room{Destination: "s"})
	d.wait(roomEvery / 2)
	d.none()
	d.do(Worked{})
	only[AskRoom](d)
	d.do(Worked{})
	d.none() // it is being asked
}

// A pass over what is parked goes on where it ended, and the destination is forgotten when a pass has found nothing.
func TestParkedIsReadInPasses(t *testing.T) {
	t.Parallel()
	d, s := listed(t), subscriber("s")
	d.do(Backlog{Destinations: []string{"s"}})
	d.take()
	d.do(Room{Destination: "s", Deliveries: 1})
	if c := one[ReadParked](d); c.After != 0 || c.Limit != 1 {
		t.Fatalf("read %+v", c)
	}
	d.do(Parked{Destination: "s", Deliveries: []DueDelivery{{ID: openID(1, s)}}, Last: 7})
	if c := one[ReadRow](d); c.Entry != openID(1, s) {
		t.Fatalf("read %+v", c)
	}
	d.do(RowRead{Entry: openID(1, s), Snapshot: shows(1000), Verdict: Finished})
	if c := one[EndOrphan](d); c.ID != openID(1, s) || c.Key != "" {
		t.Fatalf("end %+v", c)
	}
	for pass, after := range []int64{7, 0} {
		d.wait(roomEvery)
		only[AskRoom](d)
		d.do(Room{Destination: "s", Deliveries: 5})
		if c := one[ReadParked](d); c.After != after || c.Limit != 5 {
			t.Fatalf("pass %d: read %+v", pass, c)
		}
		d.wait(roomEvery)
		d.none() // it is being read
		d.do(Parked{Destination: "s", End: true})
		if parked := d.m.destinations.of("s").parked; parked != (pass == 0) {
			t.Fatalf("pass %d: parked %t", pass, parked)
		}
	}
	d.wait(roomEvery)
	if len(d.m.destinations.byName) != 0 {
		t.Fatalf("still knows %v", d.m.destinations.byName)
	}
}

// What cannot be read at present is not asked for: nothing of it is in memory, and a statement would find nothing.
func TestNothingIsReadWithoutRoom(t *testing.T) {
	t.Parallel()
	d, s := listed(t), subscriber("s")
	d.do(Backlog{Destinations: []string{"s"}})
	only[AskRoom](d)
	d.m.budget.bytes = d.m.budget.maxBytes
	d.do(Room{Destination: "s", Deliveries: 5})
	d.none()
	d.m.budget.bytes = 0
	for _, no := range []*bool{&d.m.failing, &d.m.stopping} {
		d.wait(roomEvery)
		only[AskRoom](d)
		*no = true
		d.do(Room{Destination: "s", Deliveries: 5})
		d.none()
		*no = false
	}
	d.wait(roomEvery)
	only[AskRoom](d)
	d.do(Subscribed{Subscribers: map[string]*relay.Subscriber{"s": {Name: "s", Target: s.Target, Paused: true}}})
	d.take()
	d.do(Room{Destination: "s", Deliveries: 5})
	d.none()
}
