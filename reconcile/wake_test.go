package reconcile

import (
	"slices"
	"testing"

	"relay"
	"relay/sql"
)

func TestALookAtEveryLineGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	w := newWaker()
	if _, _, walking := w.position(); walking {
		t.Error("lines are looked at although it was not asked for")
	}
	w.all()
	first, last := sql.Line{Key: "a"}, sql.Line{Key: "b"}
	walk, after, walking := w.position()
	if !walking || after != (sql.Line{}) {
		t.Errorf("begins after %v: %v", after, walking)
	}
	w.walked(walk, []sql.Line{first, last})
	if _, after, walking = w.position(); !walking || after != last {
		t.Errorf("goes on after %v: %v", after, walking)
	}
	w.all()
	w.walked(walk, nil)
	if walk, after, walking = w.position(); !walking || after != (sql.Line{}) {
		t.Errorf("asked for anew, goes on after %v: %v", after, walking)
	}
	w.walked(walk, nil)
	if _, _, walking = w.position(); walking {
		t.Error("there is no end")
	}
}

// isDelayed reports whether a line is to be looked at in a while.
func isDelayed(w *waker, l sql.Line) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.delayed[l]
}

// The first of a line has just been put back into the table, and that is not yet settled: the
// second would be sent, and the first after it.
func TestNothingGoesBehindAHeadThatIsOnItsWayIntoTheTable(t *testing.T) {
	t.Parallel()
	e := keysEngine(t)
	var heads []sql.Head
	for seq := range int64(3) {
		heads = append(heads, sql.Head{ID: sql.DeliveryID{Message: relay.NewID(), Subscription: "sub"}, Key: "k", Seq: seq + 1, Blocked: true})
	}
	line := sql.Line{Subscription: "sub", Key: "k"}
	first := e.registry.claim(entry{id: heads[0].ID, key: "k"}, 0)
	if crowded := e.heads.registerHeads(heads); len(crowded) != 0 || !isDelayed(e.waker, line) {
		t.Errorf("crowded %v, or the line is not looked at again", crowded)
	}
	if got := e.registry.toRead.takeKeyed(3); len(got) != 0 {
		t.Fatalf("%d are read", len(got))
	}
	e.registry.remove(first)
	e.heads.registerHeads(heads)
	var got []sql.DeliveryID
	for _, en := range e.registry.toRead.takeKeyed(3) {
		got = append(got, en.id)
	}
	if !slices.Equal(got, []sql.DeliveryID{heads[0].ID, heads[1].ID, heads[2].ID}) {
		t.Errorf("read %v, want all in order", got)
	}
}

// No sweep finds a delivery that waits for nothing but its key.
func TestWhatCouldNotBeReadIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	e := keysEngine(t)
	line := sql.Line{Subscription: "sub", Key: "k"}
	e.registry.add([]entry{{id: sql.DeliveryID{Message: relay.NewID(), Subscription: "sub"}, key: "k"}})
	e.heads.leave(e.registry.toRead.takeKeyed(1)...)
	if n, _ := e.registry.memory.size(); n != 1 || !isDelayed(e.waker, line) {
		t.Errorf("%d in memory, or the line is not looked at again", n)
	}
	e.waker.addDelayed()
	if lines := e.waker.take(); !slices.Equal(lines, []sql.Line{line}) || isDelayed(e.waker, line) {
		t.Errorf("looked at: %v", lines)
	}
}
