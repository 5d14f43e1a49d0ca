package reconcile

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"relay"
	"relay/sql"
)

var testLine = sql.Line{Subscription: "default", Key: "k"}

func testLeg(taking bool) *dispatch {
	l := &dispatch{task: &task{state: state{taking: taking}}, delivery: testDelivery(1), line: testLine}
	l.delivery.Since = time.Now()
	return l
}

// enterAll puts dispatches into their line, retained meanwhile.
func enterAll(o *order, dispatches ...*dispatch) (admissions []admission) {
	o.retain([]sql.Line{testLine})
	for _, l := range dispatches {
		admissions = append(admissions, o.enter(l))
	}
	o.letGo([]sql.Line{testLine})
	return admissions
}

func TestOnlyTheHeadOfALineIsSent(t *testing.T) {
	t.Parallel()
	o := newOrder(func(sql.Line, bool) { t.Error("woken although the table holds nothing") })
	a, b, c := testLeg(true), testLeg(true), testLeg(true)
	if got := enterAll(o, a, b, c); !slices.Equal(got, []admission{admitted, queued, queued}) {
		t.Fatalf("admissions %v", got)
	}
	if o.ended(a, true) != b || o.ended(a, true) != nil || o.ended(b, true) != c || o.ended(c, true) != nil {
		t.Fatal("the next was not the one behind")
	}
	for _, l := range []*dispatch{a, b, c} {
		if behind := o.settled(l, false); behind != nil {
			t.Fatalf("%d dispatches behind one that was accepted", len(behind))
		}
	}
	if o.lines[testLine] != nil {
		t.Error("the line stays in memory")
	}
}

func TestWhatIsBehindAFailedHeadWaitsUntilThatIsWritten(t *testing.T) {
	t.Parallel()
	woken := 0
	o := newOrder(func(_ sql.Line, soon bool) {
		if !soon {
			woken++
		}
	})
	a, b, later := testLeg(true), testLeg(true), testLeg(true)
	enterAll(o, a, b)
	if o.ended(a, false) != nil {
		t.Fatal("something overtook a head that failed")
	}
	if got := enterAll(o, later); got[0] != queued {
		t.Fatalf("what came before the head was written: %v", got)
	}
	if behind := o.settled(a, false); !slices.Equal(behind, []*dispatch{b, later}) {
		t.Fatalf("%d dispatches are parked, want both", len(behind))
	}
	if got := enterAll(o, testLeg(true)); got[0] != refused {
		t.Fatalf("what came after: %v", got)
	}
	o.settled(b, true)
	o.settled(later, true)
	if woken != 0 {
		t.Fatal("woken while a dispatch was not written")
	}
	o.settled(testLeg(true), true)
	if woken != 1 || o.lines[testLine] != nil {
		t.Errorf("woken %d times", woken)
	}
}

func TestWhatTheTableHoldsIsNotOvertaken(t *testing.T) {
	t.Parallel()
	o := newOrder(func(sql.Line, bool) {})
	if fresh := o.retain([]sql.Line{testLine}); len(fresh) != 1 {
		t.Fatal("a new line is not asked about")
	}
	o.learn(testLine, 0)
	if o.enter(testLeg(true)) != refused || o.enter(testLeg(false)) != admitted || o.enter(testLeg(false)) != queued {
		t.Error("a new message overtook what waits in the table")
	}
}

// The messages of a key that never cease wait in the table behind one that has failed. Each is in
// memory until that is written, so that the line never leaves it, and yet goes on.
func TestALineWhoseTrafficDoesNotCeaseGoesOn(t *testing.T) {
	t.Parallel()
	now, soon := 0, 0
	o := newOrder(func(_ sql.Line, later bool) {
		if later {
			soon++
		} else {
			now++
		}
	})
	head, next, last := testLeg(false), testLeg(false), testLeg(false)
	for i, l := range []*dispatch{head, next, last} {
		l.task.message, l.task.row = &relay.Message{Seq: int64(i + 1)}, &sql.DeliveryRow{KeyBlocked: true}
	}
	o.retain([]sql.Line{testLine})
	o.learn(testLine, 1)
	if o.enter(testLeg(true)) != refused || o.enter(head) != admitted {
		t.Fatal("the head of the table does not go first")
	}
	if o.idle(testLine) {
		t.Error("the table is looked at beside what is under way")
	}
	o.ended(head, true)
	if o.settled(head, false); now != 1 || !o.idle(testLine) {
		t.Errorf("woken %d times when the head had ended", now)
	}
	if o.enter(next) != refused {
		t.Error("something is a head that the table was not asked about")
	}
	if o.settled(next, true); soon != 1 {
		t.Errorf("to be woken soon %d times when one more waits", soon)
	}
	o.heads(testLine, 2)
	if o.enter(last) != refused || o.enter(next) != admitted || o.enter(last) != queued {
		t.Error("the new head of the table does not go")
	}
}

// A crash or a stop may leave a delivery that waits behind a failed one without its row
// saying so: it must not be sent because it looks like a head.
func TestWhatIsNotTheFirstInTheTableIsNoHead(t *testing.T) {
	t.Parallel()
	o := newOrder(func(sql.Line, bool) {})
	first, second := testLeg(false), testLeg(false)
	first.task.message, second.task.message = &relay.Message{Seq: 1}, &relay.Message{Seq: 2}
	second.task.row = &sql.DeliveryRow{}
	o.retain([]sql.Line{testLine})
	o.learn(testLine, 1)
	if o.enter(second) != refused || o.enter(first) != admitted || o.enter(second) != refused {
		t.Error("the second passes for a head")
	}
	second.task.row.KeyBlocked = true
	if o.enter(second) != queued || !o.waits(second) || o.waits(first) {
		t.Error("the second does not wait behind the first")
	}
}

// Another relay had the shard for a while, and has put a message into the table that now comes
// before whatever is read.
func TestAShardThatCameBackHasItsLinesInTheTable(t *testing.T) {
	t.Parallel()
	o := newOrder(func(sql.Line, bool) {})
	head, next := testLeg(true), testLeg(true)
	enterAll(o, head)
	var elsewhere, here [relay.Shards]bool
	shard := relay.ShardOf(relay.ID{}, testLine.Key)
	elsewhere[(shard+1)%relay.Shards], here[shard] = true, true
	o.regained(&elsewhere)
	if got := enterAll(o, next); got[0] != queued {
		t.Errorf("with another shard back: admission %v", got)
	}
	o.regained(&here)
	if got := enterAll(o, testLeg(true)); got[0] != refused {
		t.Errorf("admission %v", got)
	}
}

// What the relay takes up while it stops must not look like a head beside what it has dropped.
func TestNothingPassesWhatAStopHasDropped(t *testing.T) {
	t.Parallel()
	o := newOrder(func(sql.Line, bool) {})
	head, next, later := testLeg(true), testLeg(true), testLeg(true)
	enterAll(o, head, next)
	if behind := o.drop(head); len(behind) != 1 || behind[0] != next {
		t.Fatalf("%d dispatches behind", len(behind))
	}
	if got := enterAll(o, later); got[0] != refused {
		t.Errorf("admission %v", got)
	}
}

func TestTheKeyringReadsOnWhenHalfHasLanded(t *testing.T) {
	t.Parallel()
	k := newKeyring()
	for seq := range int64(readAhead) {
		k.took("k", seq+1)
	}
	if !k.more("k") || k.after("k") != readAhead {
		t.Fatal("more is not remembered")
	}
	for i := range readAhead {
		if read := k.unregistered("k", int64(i+1), false); read != (i == readAhead/2-1) {
			t.Fatalf("after %d unregistered: read %v", i+1, read)
		}
	}
	if k.more("k") || k.after("k") != 0 {
		t.Error("the key stays in memory")
	}
}

// reads says what the next reading of a key leaves out.
func (k *keyring) reads(key string) string {
	after, _, taken := k.from(key)
	slices.Sort(taken)
	return fmt.Sprint(after, taken)
}

// As long as nothing may have been left, a key is read on; else from its lowest message.
func TestTheKeyringGoesBackToWhatMayHaveBeenLeft(t *testing.T) {
	t.Parallel()
	k := newKeyring()
	expect := func(when, want string) {
		t.Helper()
		if got := k.reads("k"); got != want {
			t.Errorf("%s: after %s, want %s", when, got, want)
		}
	}
	expect("at first", "0 []")
	for _, seq := range []int64{6, 7, 8} {
		k.took("k", seq)
	}
	expect("when all was reported", "8 []")
	k.reportsLost()
	expect("when a ring may be lost", "0 [6 7 8]")
	expect("when all was read again", "8 []")
	k.unregistered("k", 7, true)
	expect("when 7 was left", "0 [6 8]")
	k.took("k", 7)
	expect("when 7 was read again", "8 []")
	k.readAnew("k")
	expect("when that may have gone wrong", "0 [6 7 8]")
	k.more("k")
	expect("when some are behind it", "0 [6 7 8]")
	k.reads("another")
	k.reportsLost()
	k.took("another", 9)
	if got := k.reads("another"); got != "0 [9]" {
		t.Errorf("in reportsLost since it was read: after %s", got)
	}
}

// A transaction of many messages rings for all of them: what is in memory stays bounded.
func TestTheKeyringIsFull(t *testing.T) {
	t.Parallel()
	k := newKeyring()
	k.reads("k")
	for seq := range int64(readAhead) {
		if k.full("k") {
			t.Fatalf("full with %d", seq)
		}
		k.took("k", 2*seq+2)
	}
	if got := k.reads("k"); got != "128 []" {
		t.Errorf("after %s", got)
	}
	if !k.full("k") {
		t.Error("not full")
	}
	for seq := range int64(readAhead / 2) {
		if read := k.unregistered("k", 2*seq+2, false); read != (seq == readAhead/2-1) {
			t.Fatalf("after %d unregistered: read %v", seq+1, read)
		}
	}
	if after, _, taken := k.from("k"); after != 0 || len(taken) != readAhead/2 || k.full("k") {
		t.Errorf("read on after %d without %d", after, len(taken))
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
