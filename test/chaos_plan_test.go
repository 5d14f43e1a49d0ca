package test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// fault is one thing that goes wrong and ends again.
type fault struct {
	name string
	// on is what it befalls; two faults on the same thing never overlap.
	on string
	// least and most bound how long it lasts.
	least, most time.Duration
	// unknown says that it may leave outcomes unknown, and so make duplicates.
	unknown bool
	// begin makes it happen and returns what ends it, nil for nothing. An error says that
	// it could not be made, as when the server is down already.
	begin func(c *chaos, pick int) (end func() error, err error)
}

// noted is how long after the end of a fault a message may be noted that came while it
// lasted. What stands in a queue is noted when the consumer has a connection again and has
// taken what stands before it.
func (f fault) noted() time.Duration {
	if f.receiver() == toAMQP {
		return 10 * time.Second
	}
	return time.Second
}

// receiver is the only receiver whose messages the fault affects. Empty means that it affects all receivers.
func (f fault) receiver() string {
	switch {
	case strings.Contains(f.on, "rabbitmq"):
		return toAMQP
	case f.on == "endpoint":
		return toHTTP
	}
	return ""
}

// chaosFaults is all that may go wrong.
func chaosFaults() []fault {
	return slices.Concat(relayFaults(), postgresFaults(), settingFaults(), rabbitFaults(), receiverFaults())
}

// step is one fault at its time in a schedule.
type step struct {
	fault fault
	at    time.Duration // after the beginning
	lasts time.Duration
	pick  int // which of several things it befalls
}

// String describes the step; the same seed gives the same descriptions.
func (s step) String() string {
	return fmt.Sprintf("%6.2fs %s for %s (%d)", s.at.Seconds(), s.fault.name, s.lasts, s.pick)
}

// chaosPlan draws a schedule. Faults are drawn as from a pack of cards, so that each comes
// before one comes again; one that would overlap another on the same thing waits its turn.
func chaosPlan(seed uint64, total time.Duration) (plan []step) {
	random := rand.New(rand.NewPCG(seed, 0))
	between := func(least, most time.Duration) time.Duration {
		return (least + time.Duration(random.Int64N(int64(most-least)+1))).Round(10 * time.Millisecond)
	}
	busy := make(map[string]time.Duration)
	var pack []fault
	for at := between(time.Second, 2*time.Second); at < total; at += between(300*time.Millisecond, 2*time.Second) {
		if len(pack) == 0 {
			pack = chaosFaults()
			random.Shuffle(len(pack), func(i, j int) { pack[i], pack[j] = pack[j], pack[i] })
		}
		i := slices.IndexFunc(pack, func(f fault) bool { return busy[f.on] <= at })
		if i < 0 {
			continue
		}
		s := step{fault: pack[i], at: at, lasts: between(pack[i].least, pack[i].most), pick: random.IntN(6)}
		pack = slices.Delete(pack, i, i+1)
		busy[s.fault.on] = at + s.lasts + time.Second
		plan = append(plan, s)
	}
	return plan
}

func TestAChaosPlanIsReplayedByItsSeed(t *testing.T) {
	t.Parallel()
	describe := func(seed uint64) (all []string) {
		for _, s := range chaosPlan(seed, 3*time.Minute) {
			all = append(all, s.String())
		}
		return all
	}
	one := describe(1)
	if !reflect.DeepEqual(one, describe(1)) || reflect.DeepEqual(one, describe(2)) {
		t.Error("the seed does not decide the plan")
	}
	for _, f := range chaosFaults() {
		if !slices.ContainsFunc(one, func(s string) bool { return strings.Contains(s, f.name) }) {
			t.Errorf("three minutes do without %q", f.name)
		}
	}
}
