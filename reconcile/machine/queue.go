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
	first int64
	wrote int64         // the lowest sequence that came into the table since the key is being read
	moved time.Duration // when a delivery was last accepted
	look  bool          // what waits in the table may go now
}

// queue returns one of the key's queues.
func (k *key) queue(subscription, instance string) *queue {
	for _, q := range k.queues {
		if q.subscription == subscription && q.instance == instance {
			return q
		}
	}
	q := &queue{key: k, subscription: subscription, instance: instance, moved: k.m.now}
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
	for i > 0 && q.list[i-1].step != sent && q.list[i-1].step != passing && q.list[i-1].entry.seq > d.entry.seq {
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
	if d.step == passing {
		q.pass(d)
	} else {
		q.remove(d)
	}
}

// pass takes a delivery out that lets the next one go.
func (q *queue) pass(d *delivery) {
	q.remove(d)
	q.moved, q.look = q.key.m.now, true
}

// hold notes that a delivery waits in the table.
func (q *queue) hold(seq int64) {
	if q.first == 0 || seq < q.first {
		q.first = seq
	}
	if q.key.asked.reading && (q.wrote == 0 || seq < q.wrote) {
		q.wrote = seq
	}
}

// settle starts the first delivery if it may start, and reports whether others wait in memory.
func (q *queue) settle() (waits bool) {
	for len(q.list) > 0 {
		d := q.list[0]
		switch {
		case d.step == sent || d.step == passing:
			return len(q.list) > 1
		case d.step == ended:
			for _, behind := range slices.Clone(q.list[1:]) {
				behind.wait()
			}
			return false
		case q.first != 0 && d.entry.seq > q.first:
			if !d.wait() {
				return false
			}
		case d.entry.state != ready || q.key.unseenBefore(d.entry.seq) != nil || !d.start():
			return len(q.list) > 1
		}
	}
	if q.look && q.first != 0 {
		q.key.readSoon()
	}
	q.look = false
	return false
}

// wait has a delivery wait in the table that has not begun, and reports whether it has left
// its queue or will do so when that is written. One that is being read is asked again.
func (d *delivery) wait() bool {
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
		e.leaveInTable()
	}
	return true
}

// expire has what has waited for its turn for too long wait in the table, unless the queue
// moves, and other messages of the key do not wait for its room.
func (q *queue) expire() {
	now := q.key.m.now
	switch {
	case len(q.list) > 0 && q.list[0].step == idle && q.key.unseenBefore(q.list[0].entry.seq) != nil:
		q.evictWaiting()
		return
	case len(q.list) < 2 || q.list[0].step != sent || now-q.moved < staleAfter && !crowded(q.key):
		return
	}
	for _, d := range slices.Clone(q.list[1:]) {
		if now-d.entry.readAt >= staleAfter {
			d.wait()
		}
	}
}

// evictWaiting evicts what waits for a message that SQL does not show yet, the last first.
func (q *queue) evictWaiting() {
	for len(q.list) > 0 {
		d := q.list[len(q.list)-1]
		if e := d.entry; d.step != idle || e.parent != nil || e.state != ready || e.id.Pending() && !evict(e) || !e.id.Pending() && !d.wait() {
			return
		}
	}
}

// crowded reports whether as much of a key is in memory as may be, and there is more.
func crowded(k *key) bool { return k.more && k.loaded() >= k.ahead }
