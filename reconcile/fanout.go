package reconcile

import (
	"context"

	"relay/sql"
)

// A message may match hundreds of subscriptions, and then costs as much memory and as many rows as hundreds of
// messages. Such messages have a lane of their own: they are counted by their deliveries, read by one reader and
// written by one writer, in small batches, so that a message with few subscribers overtakes the work for them. The lane
// is entered when a message has been read for the first time: only its topic tells how many deliveries it has.
const (
	// fanoutFrom is how many deliveries a message has at the least that goes through the lane.
	fanoutFrom = 17
	// fanoutShare is the part of RELAY_IN_FLIGHT that the deliveries of messages without a key may fill there.
	fanoutShare = 2
	// fanoutKeyed is how many deliveries of messages with a key may be in the lane: the reader of keys has to ask the
	// table about the line of each, and all other keys wait for it.
	fanoutKeyed = 600
	// fanoutWaits is the part of RELAY_IN_FLIGHT that may wait for the lane, in messages and in keys.
	fanoutWaits = 4
	// fanoutBatch is how many deliveries of the lane are read, or written, by one statement, if not by a single
	// message.
	fanoutBatch = 500
)

// fanned counts the deliveries that are in the lane.
type fanned struct{ plain, keyed int }

// of is the count for messages with a key, or for those without.
func (f *fanned) of(keyed bool) *int {
	if keyed {
		return &f.keyed
	}
	return &f.plain
}

// fanoutMost is how many deliveries the lane takes, if they are not those of a single message.
func (r *fanoutLane) fanoutMost(keyed bool) int {
	if keyed {
		return fanoutKeyed
	}
	return max(1, r.max/fanoutShare)
}

// admits reports whether the lane has room for the deliveries of a message. The caller holds the mutex.
func (r *fanoutLane) admits(e *entry, deliveries int) bool {
	keyed := e.key != ""
	n := *r.fanned.of(keyed)
	return n == 0 || n+deliveries <= r.fanoutMost(keyed)
}

// admit counts the deliveries of a message. The caller holds the mutex.
func (r *fanoutLane) admit(e *entry, deliveries int) {
	e.deliveries, e.charged = deliveries, deliveries
	*r.fanned.of(e.key != "") += deliveries
}

// postponed reports whether a message that was read, and has many deliveries, is to be read again when the lane for
// such messages has room. Of one with a key, the key is read again.
func (e *fanoutReader) postponed(en *entry, row *sql.MessageRow) bool {
	m := &row.Message
	if en.charged > 0 || !en.isMessage() || m.Destination != "" {
		return false
	}
	deliveries := e.config.Router.Routes(m.Topic)
	if deliveries < fanoutFrom {
		return false
	}
	if m.Key == "" {
		e.registry.lane.postpone(en, deliveries)
		return true
	}
	if e.registry.lane.charge(en, deliveries) {
		return false
	}
	e.keyring.readAnew(m.Key)
	e.registry.lane.postponeKey(en)
	return true
}

// postpone has a message without a key read again by the lane's reader. If too many wait for it already, the message is
// left to the table until some of them are gone.
func (r *fanoutLane) postpone(e *entry, deliveries int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.fanout.entries) >= r.mostWaiting() {
		r.fanoutLeft = true
		r.drop(e)
		return
	}
	e.deliveries = deliveries
	r.toRead.push(e)
}

// mostWaiting is how many messages, or keys, wait for the lane in memory.
func (r *fanoutLane) mostWaiting() int { return max(1, r.max/fanoutWaits) }

// charge counts the deliveries of a message, and returns false if the lane has no room for them.
func (r *fanoutLane) charge(e *entry, deliveries int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.admits(e, deliveries) {
		return false
	}
	r.admit(e, deliveries)
	return true
}

// discharge takes the deliveries of an entry out of the lane. The caller holds the mutex.
func (r *fanoutLane) discharge(e *entry) {
	if e.charged == 0 {
		return
	}
	keyed := e.key != ""
	n := r.fanned.of(keyed)
	*n -= e.charged
	e.charged = 0
	if *n <= r.fanoutMost(keyed)/2 {
		poke(r.fanout.ready)
	}
}

// postponeKey unregisters a message with a key for which the lane has no room. The key stands for it, and is read again
// from its lowest message when there is room. If too many keys wait already, a sweep finds it.
func (r *fanoutLane) postponeKey(e *entry) {
	r.mu.Lock()
	known := len(r.fanoutKeys) < r.mostWaiting()
	if known {
		r.fanoutKeys[e.key] = true
	}
	r.mu.Unlock()
	if known {
		r.remove(e)
	} else {
		r.leave(e)
	}
}

// awaited reports whether a key is read again when the lane has room.
func (r *fanoutLane) awaited(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fanoutKeys[key]
}

// fanoutWaiting is how many messages and keys wait for the lane.
func (r *fanoutLane) fanoutWaiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.fanout.entries) + len(r.fanoutKeys)
}

// takeFanout returns messages without a key that the lane has room for, with their deliveries charged, and the keys
// that are to be read again since there is room.
func (r *fanoutLane) takeFanout() (batch []*entry, keys []entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, sum := 0, 0
	for _, e := range r.fanout.entries {
		if n > 0 && sum+e.deliveries > fanoutBatch || !r.admits(e, e.deliveries) {
			break
		}
		n++
		sum += e.deliveries
		r.admit(e, e.deliveries)
	}
	if n > 0 {
		batch = r.fanout.take(n)
	}
	if r.fanned.keyed <= fanoutKeyed/2 {
		for key := range r.fanoutKeys {
			keys = append(keys, keyEntry(key))
		}
		clear(r.fanoutKeys)
	}
	if r.fanoutLeft && len(r.fanout.entries) <= r.mostWaiting()/2 {
		r.fanoutLeft = false
		r.noteLeft()
	}
	return batch, keys
}

// readFanout reads the messages of the lane for those with many deliveries, until ctx ends.
func (e *fanoutReader) readFanout(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.registry.fanout.ready:
		}
		if e.writer.health.waitHealthy(ctx) != nil {
			return nil
		}
		batch, keys := e.registry.lane.takeFanout()
		e.registry.add(keys)
		if len(batch) > 0 {
			e.rows.readBatch(ctx, batch)
		}
	}
}

// fanoutApart divides the tasks of several keys: those of keys with a message that has many deliveries come last,
// since the table has to be asked about as many lines.
func fanoutApart(tasks []*task) (few, many []*task) {
	keys := make(map[string]bool)
	for _, f := range tasks {
		if f.entry.charged > 0 {
			keys[f.message.Key] = true
		}
	}
	if len(keys) == 0 {
		return tasks, nil
	}
	for _, f := range tasks {
		if keys[f.message.Key] {
			many = append(many, f)
		} else {
			few = append(few, f)
		}
	}
	return few, many
}
