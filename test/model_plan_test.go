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

// act is one thing that a model's program may do.
type act struct {
	name string
	// on is what it befalls; two acts on the same thing never overlap.
	on          string
	least, most time.Duration // how long it lasts
	often       int           // how many of it are in the pack
	begin       func(m *model, pick int) (end func() error, err error)
}

func modelActs() (all []act) {
	const s = time.Second
	all = []act{
		{"kill a relay", "relays", 0, 2 * s, 2, (*model).killRelay},
		{"stop a relay and start it again", "relays", 0, 2 * s, 1, (*model).restartRelay},
		{"freeze a relay for longer than its lease", "relays", 2 * s, 4 * s, 1, (*model).freezeRelay},
		{"add a relay", "relays", 0, 0, 1, (*model).addRelay},
		{"remove a relay", "relays", 0, 0, 1, (*model).removeRelay},
		{"cut the way to the broker", toBroker, s / 2, 2 * s, 1, (*model).cutBroker},
		{"unbind the queue", toBroker, s / 2, 2 * s, 1, (*model).unbindBroker},
		{"cancel a message", "person", 0, 0, 4, (*model).cancelOne},
		{"retry what is dead", "person", 0, 0, 2, (*model).retryDead},
		{"skip a key", "person", 0, 0, 2, (*model).skipKey},
		{"retry a key", "person", 0, 0, 1, (*model).retryKey},
		{"retry all that is dead", "person", 0, 0, 1, (*model).retryAll},
		{"retry what waits", "person", 0, 0, 1, (*model).retryOpen},
	}
	for i, one := range modelSubscriptions {
		name := "subscription " + one.name
		all = append(all,
			act{"pause " + one.name, name, s / 2, 4 * s, 1, pausing(one)},
			act{"change the topics of " + one.name, name, s / 2, 4 * s, 1, retopic(one)},
			act{"delete " + one.name, name, s / 2, 3 * s, 1 + i%2, deleting(one)})
		if i%2 == 1 {
			all = append(all, act{"delete " + one.name + " by force", name, s / 2, 2 * s, 1, deletingByForce(one)})
		}
		if i%2 == 1 && !one.broadcast {
			all = append(all, act{"replay " + one.name, "person", 0, 0, 1, replaying(one.name)})
		}
		if one.broadcast {
			all = append(all, act{"a mood of an instance", "inbox " + one.name, s / 4, 3 * s, 3, (*model).moodyInstance})
		} else if one.name != toBroker {
			all = append(all, act{"a mood of " + one.name, "inbox " + one.name, s / 4, 3 * s, 2, moody(one.name)})
		}
	}
	return all
}

// turn is one act at its time in a program.
type turn struct {
	act   act
	at    time.Duration // after the beginning
	lasts time.Duration
	pick  int
}

// String describes the turn; the same seed gives the same descriptions.
func (s turn) String() string {
	return fmt.Sprintf("%6.2fs %s for %s (%d)", s.at.Seconds(), s.act.name, s.lasts, s.pick)
}

// modelPlan draws a program, as from a pack of cards.
func modelPlan(seed uint64, total time.Duration) (plan []turn) {
	random := rand.New(rand.NewPCG(seed, 0))
	between := func(least, most time.Duration) time.Duration {
		return (least + time.Duration(random.Int64N(int64(most-least)+1))).Round(10 * time.Millisecond)
	}
	busy := make(map[string]time.Duration)
	var pack []act
	for at := time.Second; at < total; at += between(50*time.Millisecond, 400*time.Millisecond) {
		if len(pack) == 0 {
			for _, a := range modelActs() {
				pack = append(pack, slices.Repeat([]act{a}, a.often)...)
			}
			random.Shuffle(len(pack), func(i, j int) { pack[i], pack[j] = pack[j], pack[i] })
		}
		i := slices.IndexFunc(pack, func(a act) bool { return busy[a.on] <= at })
		if i < 0 {
			continue
		}
		s := turn{act: pack[i], at: at, lasts: between(pack[i].least, pack[i].most), pick: random.IntN(1000)}
		pack = slices.Delete(pack, i, i+1)
		busy[s.act.on] = at + s.lasts + 200*time.Millisecond
		plan = append(plan, s)
	}
	return plan
}

// run does what the program says, and returns when all has ended.
func (m *model) run(plan []turn) {
	m.begun = time.Now()
	play(plan, func(s turn) (time.Time, string) { return m.begun.Add(s.at), s.act.on }, m.play)
}

// play does one act and ends it.
func (m *model) play(s turn) {
	m.logf("%s for %s", s.act.name, s.lasts)
	end, err := s.act.begin(m, s.pick)
	if err != nil {
		m.logf("%s: %v", s.act.name, err)
	}
	if end == nil {
		return
	}
	<-time.After(s.lasts)
	if err := end(); err != nil {
		m.t.Errorf("the end of %s: %v", s.act.name, err)
	}
	m.logf("end of %s", s.act.name)
}

func TestAModelsProgramIsReplayedByItsSeed(t *testing.T) {
	t.Parallel()
	describe := func(seed uint64) (all []string) {
		for _, s := range modelPlan(seed, time.Minute) {
			all = append(all, s.String())
		}
		return all
	}
	one := describe(1)
	if !reflect.DeepEqual(one, describe(1)) || reflect.DeepEqual(one, describe(2)) {
		t.Error("the seed does not decide the program")
	}
	for _, a := range modelActs() {
		if !slices.ContainsFunc(one, func(s string) bool { return strings.Contains(s, a.name) }) {
			t.Errorf("a minute does without %q", a.name)
		}
	}
}
