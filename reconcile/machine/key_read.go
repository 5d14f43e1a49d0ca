package machine

import (
	"slices"
	"time"

	"relay"
)

func (r KeyRead) apply(m *Machine) {
	k := m.keys[r.Key]
	if k == nil || !k.lastRead.underWay {
		return
	}
	m.keysReading--
	k.lastRead.underWay = false
	switch {
	case !m.leases.mayRead(k.shard):
		k.toRead = false
	case r.Failed:
		k.gap, k.toRead = -1, true
		k.retryLater(50*time.Millisecond, 10*time.Second)
		return
	case r.Late:
		k.gap, k.toRead = -1, true
		m.due.findBy(m.now)
		k.retryLater(5*time.Millisecond, time.Second)
		return
	case k.lastRead.epoch != m.leases.of(k.shard).epoch, k.lastRead.outdated(k):
		k.readSoon()
	default:
		r.allowReadingOn(k)
		r.merge(k)
	}
	if k.toRead {
		k.readSoon()
	}
	k.advance()
}

// allowReadingOn decides whether the next read may go on where this one ends. It may if each transaction
// whose report may have been lost had ended when this read, from the beginning, was made: what
// comes into the table below the end of it is reported then.
func (r *KeyRead) allowReadingOn(k *key) {
	m, s := k.m, &r.Snapshot
	if k.lastRead.gap == m.gap && m.horizon == 0 {
		m.horizon = s.Xmax
	}
	if k.lastRead.After == 0 {
		k.fullSnapshot = *s
	}
	if k.lastRead.After == 0 && (m.horizon == 0 || s.Xmin < m.horizon) {
		k.gap = -1
	}
}

// outdated reports whether a read that began behind a sequence may have passed over a message:
// reports were lost, or one has become due meanwhile.
func (a *startedRead) outdated(k *key) bool {
	return a.After > 0 && (k.gap != k.m.gap || a.dueSearches != k.m.due.searches)
}

// merge takes what was read of the key, as far as it may be had.
func (r *KeyRead) merge(k *key) {
	k.advancing = true // until all is in its place
	last, whole := r.takeRows(k)
	r.resolveUnseen(k, last, whole)
	if k.knownUpTo = max(k.knownUpTo, last); !whole {
		k.knownUpTo = last
	}
	k.incomplete = !whole
	r.loadWaiting(k, last, whole)
	k.advancing = false
}

// takeRows takes pending messages in their order and returns the sequence up to which all are
// known now. whole says that this is all there is.
func (r *KeyRead) takeRows(k *key) (last int64, whole bool) {
	m := k.m
	last = k.lastRead.After
	hidden, hides := r.hidden(k)
	for i := range r.Rows {
		row := &r.Rows[i]
		seq := row.Message.Seq
		e := m.pending[row.Message.ID]
		if hides && seq > hidden {
			return last, false // it could not start
		}
		if back := k.lastRead.lost; back > 0 && seq > back {
			return min(last, back-1), false
		}
		if e != nil && e.state != unseen {
			last = seq // it is in memory
			continue
		}
		switch {
		case e == nil && k.lastRead.Awaits(row.Message.ID, row.XID):
			if k.fullSnapshot.Full(row.XID) < k.fullSnapshot.Xmax {
				k.gap, k.more, k.toRead = -1, true, true // it may have been reported before that: no report has it read
			}
			return seq - 1, false
		case !r.Snapshot.Durable && (e == nil || e.xid == 0):
			k.retryLater(2*time.Millisecond, 100*time.Millisecond)
			return seq - 1, false
		case !r.takeRow(k, e, row):
			k.more = true
			return seq - 1, false
		}
		last = seq
	}
	if back := k.lastRead.lost; back > 0 {
		return min(last, back-1), false
	}
	if r.More {
		k.more = true
		return last, false
	}
	return last, true
}

// hidden is the lowest sequence of a message that was reported and that this read cannot show:
// its transaction is not visible yet, or it was reported after the read had begun behind it.
// Of one whose sequence is not known that may be the lowest of all.
func (r *KeyRead) hidden(k *key) (seq int64, some bool) {
	for _, e := range k.entries {
		if e.state == unseen && (e.seq <= k.lastRead.After && k.lastRead.After > 0 || !r.Snapshot.Shows(e.xid)) {
			return e.seq, true
		}
	}
	return 0, false
}

// takeRow takes one pending message; e is its entry if it was reported.
func (r *KeyRead) takeRow(k *key, e *entry, row *Row) bool {
	if k.m.fanout.holdsUp(e, len(row.Deliveries)) {
		k.m.fanout.awaitKey(k, len(row.Deliveries))
		return false
	}
	if !r.evictBehind(k, row.Message.Seq, func() bool { return (e != nil || k.m.budget.fits(true)) && row.fits(k.m) }) {
		k.m.sweepLater(pendingOnly)
		return false
	}
	if e == nil {
		id := relay.DeliveryID{Message: row.Message.ID}
		e = &entry{id: id, seq: row.Message.Seq, shard: k.shard, key: k, fromTable: true, state: toRead}
		k.m.entries.register(e)
		k.insert(e)
	} else {
		if i := slices.Index(k.entries, e); e.seq == 0 {
			k.entries = slices.Delete(k.entries, i, i+1)
			e.seq = row.Message.Seq
			k.insert(e)
		}
		k.unseen--
	}
	k.tries = 0
	e.readAt = k.lastRead.at
	row.fill(e)
	return true
}

// evictBehind evicts what is in memory behind a message and could not start before it, the last
// first, until there is room. It reports whether there is. What SQL does not show yet stays: a read would not show it.
func (r *KeyRead) evictBehind(k *key, seq int64, room func() bool) bool {
	for !room() {
		i := len(k.entries) - 1
		for i >= 0 && k.entries[i].state == unseen && !r.Snapshot.Shows(k.entries[i].xid) {
			i--
		}
		if i < 0 || k.entries[i].seq <= seq || !evict(k.entries[i]) {
			return false
		}
	}
	return true
}

// evict removes a pending message to make room for one before it in its key, and reports false if something of it has
// begun. A read that is under way takes nothing behind it.
func evict(e *entry) bool {
	if e.state != ready && e.state != unseen || slices.ContainsFunc(e.deliveries, func(d *delivery) bool { return d.step != idle }) {
		return false
	}
	if e.state == unseen {
		e.m.reports.noteGap()
	}
	e.leaveInTable()
	return true
}

// resolveUnseen decides on the messages that were reported and that the read does not show: one whose
// transaction the snapshot shows is gone, or was taken up before; any other is looked for again.
func (r *KeyRead) resolveUnseen(k *key, last int64, whole bool) {
	if k.unseen == 0 {
		return
	}
	again := false
	for _, e := range slices.Clone(k.entries) {
		if e.state != unseen {
			continue
		}
		shown := r.Snapshot.Shows(e.xid)
		covered := e.seq > k.lastRead.After && (whole || e.seq <= last)
		switch {
		case covered && shown, e.seq == 0 && shown && whole && k.lastRead.After == 0:
			e.remove()
			k.m.do(Missed{ID: e.id.Message})
		case e.seq == 0 && shown && k.lastRead.After == 0:
			e.remove() // it stands behind what was read
			k.more = true
		case !whole && e.seq > last && shown && k.more && k.loaded() > 0: // it is read on when something of these has ended
		default:
			again = true
		}
	}
	if again {
		k.retryLater(2*time.Millisecond, unseenMost)
	}
}

// loadWaiting learns what waits in the table, and loads what may go.
func (r *KeyRead) loadWaiting(k *key, last int64, whole bool) {
	for _, q := range k.queues {
		q.firstWaiting = q.wroteMeanwhile
	}
	for i := range r.Waiting {
		w := &r.Waiting[i]
		q := k.queue(w.ID.Subscription, w.ID.Instance)
		_, pending := k.m.pending[w.ID.Message]
		e, open := k.m.open[w.ID]
		switch {
		case open && e.overdue && !k.m.subscriber(w.ID.Subscription, nil).Unordered:
			q.noteWaiting(w.Seq) // it ends outside the order of its key, and holds its place until then
		case w.State != relay.WaitsMore && (pending || open):
		case k.m.subscriber(w.ID.Subscription, nil).Unordered:
			if k.moreUnordered = k.moreUnordered || w.State == relay.WaitsMore; w.mayLoad(k.m) {
				w.load(k, nil)
			}
		case !whole && w.Seq > last, q.firstWaiting != 0, !w.mayLoad(k.m):
			if w.State != relay.WaitsDead || k.m.subscriber(w.ID.Subscription, nil).BlockOnDead {
				q.noteWaiting(w.Seq)
			}
		default:
			w.load(k, q)
		}
	}
}

// mayLoad reports whether a delivery that waits may go as far as it itself is concerned.
func (w *Waiting) mayLoad(m *Machine) bool {
	if !m.budget.fits(true) {
		m.sweepLater(everything)
		return false
	}
	switch w.State {
	case relay.WaitsForKey, relay.WaitsDue:
		return true
	case relay.WaitsForRoom:
		d := m.destinations.of(w.Destination)
		m.destinations.noteParked(d)
		if d.room <= 0 || m.destinations.paused(d.name) {
			return false
		}
		d.room--
		return true
	}
	return false
}

// load has a delivery of an open message read, and puts it into its queue.
func (w *Waiting) load(k *key, q *queue) {
	e := k.m.entries.loadDelivery(w.ID, k.shard)
	e.seq, e.key = w.Seq, k
	k.opens++
	if d := e.deliveries[0]; q != nil {
		d.queue = q
		q.insert(d)
	}
}

// readDue has a delivery read whose time has come: with its key if it has its place there. Else it reports whether
// there was room for it.
func (m entries) readDue(d DueDelivery) (loaded bool) {
	if d.Key != "" {
		m.readKey(d.Key, d.Shard, false)
		return false
	}
	return m.entries.loadDelivery(d.ID, d.Shard) != nil
}

// loadDelivery has a delivery of an open message read. It returns nil if something of it is in memory, or if there is
// no room for it.
func (m entries) loadDelivery(id relay.DeliveryID, shard int16) *entry {
	if !m.leases.mayRead(shard) || m.open[id] != nil || m.pending[id.Message] != nil || !m.budget.fits(true) {
		return nil
	}
	e := &entry{id: id, shard: shard, fromTable: true}
	e.deliveries = []*delivery{{entry: e}}
	m.entries.register(e)
	e.readSoon()
	return e
}
