package machine

import (
	"maps"
	"slices"
)

// A message may match hundreds of subscriptions, and then costs as much memory and as many rows as hundreds of messages.
// Together such messages hold at most half of the budget, so that a message with few subscribers finds room beside them.
const (
	// fanoutFrom is how many deliveries a message has at the least that is counted so.
	fanoutFrom = 17
	// fanoutShare is the part of the budget that their deliveries may hold, and fanoutWaits the part that messages may
	// hold that wait for it.
	fanoutShare = 2
	fanoutWaits = 4
)

// fanout is what is in memory of messages with many deliveries.
type fanout struct {
	m          *Machine
	deliveries int
	waiting    []*entry         // to be read again when there is room
	keys       map[string]int16 // the same, with their shards
	needs      int              // the most deliveries that one of those has
}

// most is how many deliveries there may be, if they are not those of a single message.
func (f *fanout) most() int { return max(1, f.m.config.Entries/fanoutShare) }

// fansOut reports whether a pending row has so many deliveries that it has to wait for those before it.
func (row *Row) fansOut(m *Machine) bool {
	n := len(row.Deliveries)
	return n >= fanoutFrom && m.fanout.deliveries > 0 && m.fanout.deliveries+n > m.fanout.most()
}

// await has an entry read again when there is room. If too many wait already, a sweep finds it.
func (f *fanout) await(e *entry, deliveries int) {
	if len(f.waiting) >= max(1, f.m.config.Entries/fanoutWaits) {
		e.putBack()
		f.m.leave(1)
		return
	}
	e.state = wanted
	f.waiting, f.needs = append(f.waiting, e), max(f.needs, deliveries)
}

// awaitKey has a key read again when there is room.
func (f *fanout) awaitKey(k *key, deliveries int) {
	f.keys[k.name], f.needs = k.shard, max(f.needs, deliveries)
}

// count is how many messages and keys wait for room.
func (f *fanout) count() int { return len(f.waiting) + len(f.keys) }

// charge counts an entry's deliveries, and discharge gives them back.
func (f *fanout) charge(e *entry) {
	if n := len(e.deliveries); n >= fanoutFrom {
		e.fanned = n
		f.deliveries += n
	}
}

func (f *fanout) discharge(e *entry) {
	f.deliveries -= e.fanned
	e.fanned = 0
}

// goOn has what waits read again as soon as half of the room is free, and enough for each of those that wait.
func (f *fanout) goOn() {
	if f.count() == 0 || f.deliveries > 0 && f.deliveries > min(f.most()/2, f.most()-f.needs) {
		return
	}
	f.needs = 0
	for _, name := range slices.Sorted(maps.Keys(f.keys)) { // the same events lead to the same commands
		f.m.lookAtKey(name, f.keys[name], false)
	}
	clear(f.keys)
	n := min(len(f.waiting), max(1, f.most()/2/fanoutFrom))
	for _, e := range f.waiting[:n] {
		if !e.forgotten && e.state == wanted {
			e.want()
		}
	}
	f.waiting = append(f.waiting[:0], f.waiting[n:]...)
}
