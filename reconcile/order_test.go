package reconcile

import (
	"slices"
	"testing"
	"time"

	"relay"
	"relay/sql"
)

var testLine = sql.Line{Subscription: "default", Key: "k"}

func testLeg(taking bool) *leg {
	l := &leg{flight: &flight{state: state{taking: taking}}, delivery: testDelivery(1), line: testLine}
	l.delivery.Since = time.Now()
	return l
}

// enterAll puts legs into their line, pinned meanwhile.
func enterAll(o *order, legs ...*leg) (admissions []admission) {
	o.pin([]sql.Line{testLine})
	for _, l := range legs {
		admissions = append(admissions, o.enter(l))
	}
	o.unpin([]sql.Line{testLine})
	return admissions
}

func TestOnlyTheHeadOfALineIsSent(t *testing.T) {
	t.Parallel()
	o := newOrder(func(sql.Line) { t.Error("woken although the table holds nothing") })
	a, b, c := testLeg(true), testLeg(true), testLeg(true)
	if got := enterAll(o, a, b, c); !slices.Equal(got, []admission{admitted, queued, queued}) {
		t.Fatalf("admissions %v", got)
	}
	if o.ended(a, true) != b || o.ended(a, true) != nil || o.ended(b, true) != c || o.ended(c, true) != nil {
		t.Fatal("the next was not the one behind")
	}
	for _, l := range []*leg{a, b, c} {
		if behind := o.settled(l, false); behind != nil {
			t.Fatalf("%d legs behind one that was accepted", len(behind))
		}
	}
	if o.has(testLine) {
		t.Error("the line stays in memory")
	}
}

func TestWhatIsBehindAFailedHeadWaitsUntilThatIsWritten(t *testing.T) {
	t.Parallel()
	woken := 0
	o := newOrder(func(sql.Line) { woken++ })
	a, b, later := testLeg(true), testLeg(true), testLeg(true)
	enterAll(o, a, b)
	if o.ended(a, false) != nil {
		t.Fatal("something overtook a head that failed")
	}
	if got := enterAll(o, later); got[0] != queued {
		t.Fatalf("what came before the head was written: %v", got)
	}
	if behind := o.settled(a, false); !slices.Equal(behind, []*leg{b, later}) {
		t.Fatalf("%d legs are parked, want both", len(behind))
	}
	if got := enterAll(o, testLeg(true)); got[0] != refused {
		t.Fatalf("what came after: %v", got)
	}
	o.settled(b, true)
	o.settled(later, true)
	if woken != 0 {
		t.Fatal("woken while a leg was not written")
	}
	o.settled(testLeg(true), true)
	if woken != 1 || o.has(testLine) {
		t.Errorf("woken %d times", woken)
	}
}

func TestWhatTheTableHoldsIsNotOvertaken(t *testing.T) {
	t.Parallel()
	o := newOrder(func(sql.Line) {})
	if fresh := o.pin([]sql.Line{testLine}); len(fresh) != 1 {
		t.Fatal("a new line is not asked about")
	}
	o.learn(testLine, 0)
	if o.enter(testLeg(true)) != refused || o.enter(testLeg(false)) != admitted || o.enter(testLeg(false)) != queued {
		t.Error("a new message overtook what waits in the table")
	}
}

// A crash or a stop may leave a delivery that waits behind a failed one without its row
// saying so: it must not be sent because it looks like a head.
func TestWhatIsNotTheFirstInTheTableIsNoHead(t *testing.T) {
	t.Parallel()
	o := newOrder(func(sql.Line) {})
	first, second := testLeg(false), testLeg(false)
	first.flight.message, second.flight.message = &relay.Message{Seq: 1}, &relay.Message{Seq: 2}
	second.flight.row = &sql.DeliveryRow{}
	o.pin([]sql.Line{testLine})
	o.learn(testLine, 1)
	if o.enter(second) != refused || o.enter(first) != admitted || o.enter(second) != refused {
		t.Error("the second passes for a head")
	}
	second.flight.row.KeyBlocked = true
	if o.enter(second) != queued || !o.waits(second) || o.waits(first) {
		t.Error("the second does not wait behind the first")
	}
}

// What the relay takes up while it stops must not look like a head beside what it has dropped.
func TestNothingPassesWhatAStopHasDropped(t *testing.T) {
	t.Parallel()
	o := newOrder(func(sql.Line) {})
	head, next, later := testLeg(true), testLeg(true), testLeg(true)
	enterAll(o, head, next)
	if behind := o.drop(head); len(behind) != 1 || behind[0] != next {
		t.Fatalf("%d legs behind", len(behind))
	}
	if got := enterAll(o, later); got[0] != refused {
		t.Errorf("admission %v", got)
	}
}

func TestTheKeyringReadsOnWhenHalfHasLanded(t *testing.T) {
	t.Parallel()
	k := newKeyring()
	for seq := range int64(readAhead) {
		k.took("k", seq+1, false)
	}
	if !k.more("k") || k.after("k") != readAhead {
		t.Fatal("more is not remembered")
	}
	for i := range readAhead {
		if read := k.landed("k", int64(i+1), false); read != (i == readAhead/2-1) {
			t.Fatalf("after %d landed: read %v", i+1, read)
		}
	}
	if k.more("k") || k.after("k") != 0 {
		t.Error("the key stays in memory")
	}
	k.took("k", 7, false)
	k.took("k", 8, false)
	if k.landed("k", 7, true); k.after("k") != 6 {
		t.Errorf("reading goes on after %d although 7 was left", k.after("k"))
	}
}

// Delayed messages have a place of their own: reading goes on where it was.
func TestTheKeyringRemembersDelayedMessagesByTheirSequence(t *testing.T) {
	t.Parallel()
	k := newKeyring()
	k.took("k", 5, false)
	k.took("k", 9, true)
	k.took("k", 2, true)
	after, _, delayed := k.from("k")
	if slices.Sort(delayed); after != 5 || !slices.Equal(delayed, []int64{2, 9}) {
		t.Errorf("after %d without %v", after, delayed)
	}
	if read := k.landed("k", 2, true); !read {
		t.Error("what was left is not read again")
	}
	k.landed("k", 9, false)
	if after, _, delayed := k.from("k"); after != 5 || len(delayed) != 0 {
		t.Errorf("after %d without %v when both have landed", after, delayed)
	}
}

func TestAKeyThatGoesFastIsReadFurtherAhead(t *testing.T) {
	t.Parallel()
	at := time.Now()
	st := &keyState{ahead: readAhead, read: at}
	for _, step := range []struct {
		took time.Duration
		want int
	}{{fastHalf / 2, 2 * readAhead}, {fastHalf / 2, 4 * readAhead}, {fastHalf / 2, mostAhead}, {0, mostAhead}, {2 * fastHalf, mostAhead}, {3 * fastHalf, mostAhead / 2}, {time.Hour, mostAhead / 4}, {time.Hour, readAhead}, {time.Hour, readAhead}} {
		at = at.Add(step.took)
		if st.pace(at); st.ahead != step.want {
			t.Fatalf("after half was over in %s: %d are read, want %d", step.took, st.ahead, step.want)
		}
	}
}

func TestADeadMessageHoldsItsKeyOnlyWhereItShall(t *testing.T) {
	t.Parallel()
	l := testLeg(true)
	dead := relay.Outcome{Class: relay.ClassDead}
	if !goesOn(l, dead, relay.DeliveryDead) {
		t.Error("a dead message holds its key by default")
	}
	l.delivery.Subscriber.BlockOnDead = true
	if goesOn(l, dead, relay.DeliveryDead) {
		t.Error("a dead message does not hold its key under block")
	}
}
