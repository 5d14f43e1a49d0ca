package machine

import (
	"slices"
	"time"

	"relay"
)

// queue is one key at one subscription and instance: of what is in it, one delivery at a time
// is under way. An accepted delivery leaves it at once. One that failed stays until that is in
// the table, and holds up those behind it.
type queue struct {
	key          *key
	subscription string
	instance     string
	list         []*delivery // in memory, in the order of their sequences
	// first is the lowest sequence that waits in the table and is not in memory: what has a
	// higher one waits there, too. Zero: nothing is known to wait there.
	firstWaiting   int64
	wroteMeanwhile int64         // the lowest sequence that came into the table since the key is being read
	advancedAt     time.Duration // when a delivery was last accepted
	nextMayGo      bool          // what waits in the table may go now
}

// queue returns one of the key's queues.
func (k *key) queue(subscription, instance string) *queue {
	for _, q := range k.queues {
		if q.subscription == subscription && q.instance == instance {
			return q
		}
	}
	q := &queue{key: k, subscription: subscription, instance: instance, advancedAt: k.m.now}
	k.queues = append(k.queues, q)
	return q
}

// queueOf returns the queue of a delivery; nil: it waits for no other.
func queueOf(k *key, d *relay.Delivery) *queue {
	if k.m.subscriber(d.Subscriber.Name, d).Unordered {
		return nil
	}
	return k.queue(d.Subscriber.Name, d.Instance)
}

// insert puts a delivery into its place, unless it stands there already. It passes none that is
// under way, but what waits for its outcome to be written.
func (q *queue) insert(d *delivery) {
	if slices.Contains(q.list, d) {
		return
	}
	i := len(q.list)
	for i > 0 && q.list[i-1].step != sent && q.list[i-1].step != endedInOrder && q.list[i-1].entry.seq > d.entry.seq {
		i--
	}
	q.list = slices.Insert(q.list, i, d)
}

// remove takes a delivery out.
func (q *queue) remove(d *delivery) {
	if i := slices.Index(q.list, d); i >= 0 {
		q.list = slices.Delete(q.list, i, i+1)
	}
}

// drop takes a delivery out whose entry is removed.
func (q *queue) drop(d *delivery) {
	if d.step == endedInOrder {
		q.letNextGo(d)
	} else {
		q.remove(d)
	}
}

// letNextGo takes a delivery out that lets the next one go.
func (q *queue) letNextGo(d *delivery) {
	q.remove(d)
	q.advancedAt, q.nextMayGo = q.key.m.now, true
}

// noteWaiting notes that a delivery waits in the table.
func (q *queue) noteWaiting(seq int64) {
	if q.firstWaiting == 0 || seq < q.firstWaiting {
		q.firstWaiting = seq
	}
	if q.key.lastRead.underWay && (q.wroteMeanwhile == 0 || seq < q.wroteMeanwhile) {
		q.wroteMeanwhile = seq
	}
}

// advance starts the first delivery if it may start, and reports whether others wait in memory.
func (q *queue) advance() (waits bool) {
	for len(q.list) > 0 {
		d := q.list[0]
		switch {
		case d.step == sent || d.step == endedInOrder:
			return len(q.list) > 1
		case d.step == decided:
			for _, behind := range slices.Clone(q.list[1:]) {
				behind.waitInTable()
			}
			return false
		case q.firstWaiting != 0 && d.entry.seq > q.firstWaiting:
			if !d.waitInTable() {
				return false
			}
		case q.key.mustWait(d.entry.seq):
			return true
		case d.entry.state != ready || !d.start():
			return len(q.list) > 1
		}
	}
	if q.nextMayGo && q.firstWaiting != 0 {
		q.key.readSoon()
	}
	q.nextMayGo = false
	return false
}

// waitInTable has a delivery wait in the table that has not begun, and reports whether it has left
// its queue or will do so when that is written. One that is being read is asked again.
func (d *delivery) waitInTable() bool {
	e := d.entry
	switch {
	case d.step != idle || e.parent != nil || e.removed:
		return false
	case e.id.Pending():
		if e.state != ready {
			return false
		}
		d.park(&relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonKeyBlocked})
	case e.state == reading:
		return false
	default: // it stands there
		d.queue.nextMayGo = true // a read that is under way takes no notice of it
		e.leaveInTable()
	}
	return true
}

// expire has what has waited for its turn for too long wait in the table, unless the queue
// moves, and other messages of the key do not wait for its room.
func (q *queue) expire() {
	now := q.key.m.now
	switch {
	case len(q.list) > 0 && q.list[0].step == idle && q.key.mustWait(q.list[0].entry.seq):
		q.evictWaiting()
		return
	case len(q.list) < 2 || q.list[0].step != sent || now-q.advancedAt < staleAfter && !readAheadFull(q.key):
		return
	}
	for _, d := range slices.Clone(q.list[1:]) {
		if now-d.entry.readAt >= staleAfter {
			d.waitInTable()
		}
	}
}

// evictWaiting evicts what waits for a message that SQL does not show yet, or that is not in memory, the last first.
func (q *queue) evictWaiting() {
	for len(q.list) > 0 {
		d := q.list[len(q.list)-1]
		if pending := d.entry.id.Pending(); pending && !evict(d.entry) || !pending && !d.waitInTable() {
			return
		}
	}
}

// readAheadFull reports whether as much of a key is in memory as may be, and there is more.
func readAheadFull(k *key) bool { return k.more && k.loaded() >= k.ahead }
