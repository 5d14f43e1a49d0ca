package machine

import (
	"maps"
	"slices"
)

// A message may match hundreds of subscriptions, and then costs as much memory and as many rows as hundreds of
// messages. Together such messages hold at most half of the budget, so that a message with few subscribers finds room
// beside them.
const (
	// FanoutFrom is how many deliveries a message has at the least that is counted so.
	FanoutFrom = 17
	// fanoutShare is the part of the budget that their deliveries may hold, and fanoutWaits the part that messages may
	// hold that wait for it.
	fanoutShare = 2
	fanoutWaits = 4
)

// fanout is what is in memory of messages with many deliveries.
type fanout struct {
	m          *Machine
	deliveries int
	waiting    []*entry         // to be read again when there is room, in this order
	keys       map[string]int16 // the same, with their shards
	keysNeed   int              // the most deliveries that the next message of one of those has
}

// fits reports whether there is room for a message with that number of deliveries. A single one always has it.
func (f *fanout) fits(deliveries int) bool {
	return f.deliveries == 0 || f.deliveries+deliveries <= f.m.config.Entries/fanoutShare
}

// holdsUp reports whether a pending message has to wait for those before it. e is its entry; nil: it has none.
func (f *fanout) holdsUp(e *entry, deliveries int) bool {
	switch {
	case deliveries < FanoutFrom || e != nil && e.fanoutHeld > 0:
		return false
	case e != nil && e.key == nil && len(f.waiting) > 0:
		return true
	}
	return !f.fits(deliveries)
}

// await has an entry read again when there is room. If too many wait already, a sweep finds it.
func (f *fanout) await(e *entry, deliveries int) {
	if len(f.waiting) >= max(1, f.m.config.Entries/fanoutWaits) {
		e.leaveInTable()
		f.m.sweepLater(pendingOnly)
		return
	}
	e.state, e.fanoutNeeds = toRead, deliveries
	f.waiting = append(f.waiting, e)
}

// awaitKey has a key read again when there is room.
func (f *fanout) awaitKey(k *key, deliveries int) {
	f.keys[k.name], f.keysNeed = k.shard, max(f.keysNeed, deliveries)
}

// count is how many messages and keys wait for room.
func (f *fanout) count() int { return len(f.waiting) + len(f.keys) }

// charge counts an entry's deliveries, and discharge gives them back.
func (f *fanout) charge(e *entry, deliveries int) {
	f.discharge(e)
	if deliveries >= FanoutFrom {
		e.fanoutHeld = deliveries
		f.deliveries += deliveries
	}
}

func (f *fanout) discharge(e *entry) {
	f.deliveries -= e.fanoutHeld
	e.fanoutHeld = 0
}

// readWaiting has those read again for which there is room, and keeps it for the messages without a key.
func (f *fanout) readWaiting() {
	if len(f.keys) > 0 && f.fits(f.keysNeed) {
		for _, name := range slices.Sorted(maps.Keys(f.keys)) { // the same events lead to the same commands
			f.m.readKey(name, f.keys[name], false)
		}
		clear(f.keys)
		f.keysNeed = 0
	}
	n := 0
	for ; n < len(f.waiting); n++ {
		e := f.waiting[n]
		if e.removed {
			continue
		}
		if !f.fits(e.fanoutNeeds) {
			break
		}
		f.charge(e, e.fanoutNeeds)
		e.readSoon()
	}
	f.waiting = slices.Delete(f.waiting, 0, n)
}
