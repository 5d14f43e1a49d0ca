package demo

import (
	"slices"
	"strings"
	"testing"
	"time"

	"relay"
)

// message makes a message of the shop's whose transaction ended in the given way.
func message(t *tally, how fate) relay.ID {
	id := relay.NewID()
	t.inserted(id, viaHTTP)
	if how != undecided {
		t.ended(how, time.Now(), id)
	}
	return id
}

func deliver(t *tally, id relay.ID, attempt int) {
	t.arrived(id, attempt, time.Now())
	t.accept(id)
}

func TestVerdictFindsLostAndPhantomMessages(t *testing.T) {
	t.Parallel()
	tally := newTally()
	deliver(tally, message(tally, committed), 1)
	message(tally, rolledBack)
	deliver(tally, message(tally, undecided), 1)
	message(tally, undecided)
	if v := (verdict{lost: tally.lost(), phantoms: tally.phantoms()}); v.err() != nil {
		t.Fatal(v.err())
	}

	lost := message(tally, committed)
	refused := message(tally, committed)
	tally.arrived(refused, 1, time.Now()) // and not accepted
	phantom := message(tally, rolledBack)
	tally.arrived(phantom, 1, time.Now())
	v := verdict{lost: tally.lost(), phantoms: tally.phantoms()}
	if !slices.Contains(v.lost, lost) || !slices.Contains(v.lost, refused) || len(v.lost) != 2 {
		t.Errorf("lost %v, want %v and %v", v.lost, lost, refused)
	}
	if !slices.Equal(v.phantoms, []relay.ID{phantom}) {
		t.Errorf("phantoms %v, want %v", v.phantoms, phantom)
	}
	for _, id := range []relay.ID{lost, refused, phantom} {
		if err := v.err(); err == nil || !strings.Contains(err.Error(), id.String()) {
			t.Errorf("%v does not name %s", err, id)
		}
	}
	v.interrupted = true
	if err := v.err(); err == nil || strings.Contains(err.Error(), "lost") || !strings.Contains(err.Error(), phantom.String()) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestVerdictNamesAFewOfMany(t *testing.T) {
	t.Parallel()
	tally := newTally()
	for range 100 {
		message(tally, committed)
	}
	text := verdict{lost: tally.lost()}.err().Error()
	if strings.Count(text, ", ") != named || !strings.HasPrefix(text, "100 committed messages were lost: ") || !strings.HasSuffix(text, ", …") {
		t.Error(text)
	}
}

func TestTallyCounts(t *testing.T) {
	t.Parallel()
	tally := newTally()
	early := message(tally, undecided)
	deliver(tally, early, 1) // faster than the word of its commit
	tally.ended(committed, time.Now(), early)
	twice := message(tally, committed)
	deliver(tally, twice, 1)
	deliver(tally, twice, 2)
	message(tally, committed)
	message(tally, rolledBack)
	if tally.arrived(relay.NewID(), 1, time.Now()) {
		t.Error("a message that the shop has never seen counts as its own")
	}
	got := tally.counts[viaHTTP]
	if got.latency.count != 2 {
		t.Errorf("%d latencies, want 2", got.latency.count)
	}
	got.latency = latencies{}
	if want := (counts{committed: 3, rolledBack: 1, delivered: 2, retried: 1, duplicates: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if tally.waiting != 1 || len(tally.lost()) != 1 {
		t.Errorf("%d waiting, lost %v, want one", tally.waiting, tally.lost())
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	var l, other latencies
	if l.quantile(0.99) != 0 {
		t.Error("nothing counted has a quantile")
	}
	for i := range 100 {
		l.add(time.Duration(i+1) * time.Millisecond)
	}
	other.add(-time.Second)
	other.add(time.Hour)
	for q, want := range map[float64]time.Duration{0.5: 50 * time.Millisecond, 0.99: 99 * time.Millisecond} {
		if got := l.quantile(q); got < want || got > want+want/20 {
			t.Errorf("quantile %v is %s, want %s and at most 5 %% more", q, got, want)
		}
	}
	sum := l.plus(other)
	if sum.count != 102 || sum.quantile(0.001) != firstBucket || sum.quantile(1) < 20*time.Second {
		t.Errorf("%d, from %s to %s", sum.count, sum.quantile(0.001), sum.quantile(1))
	}
}
