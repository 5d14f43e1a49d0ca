package reconcile

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"relay"
	"relay/sql"
)

const (
	// keysBatch is the most entries that one reading of keys takes.
	keysBatch = 200
	// maxKeyWait is how long a message may wait in memory behind others of its key.
	maxKeyWait = time.Second
	// lateAgain is the longest time until a key is read again if one of its messages is due and not an ordinary
	// message yet: it may have become one just before another relay took the key over.
	lateAgain = time.Second
)

// readKeyed reads what has a key, one batch after the other: a single reader, so that the
// messages of a key are taken up in their order.
func (e *keyReader) readKeyed(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.registry.keyed.ready:
		}
		if e.writer.health.waitHealthy(ctx) != nil {
			return nil
		}
		batch := e.registry.toRead.takeKeyed(keysBatch)
		if len(batch) > 0 && len(batch) < keysBatch {
			if !pause(ctx, gather, nil) {
				return nil
			}
			batch = append(batch, e.registry.toRead.takeKeyed(keysBatch-len(batch))...)
		}
		if len(batch) > 0 {
			e.readKeyedBatch(ctx, batch)
		}
	}
}

// readKeyedBatch reads a batch: open deliveries as they are, messages by their keys.
func (e *keyReader) readKeyedBatch(ctx context.Context, batch []*entry) {
	limits := e.rows.reserve()
	budget := limits.Budget
	if budget == 0 {
		e.registry.full(wantBytes, len(batch))
		e.heads.leave(batch...)
		return
	}
	begun := time.Now()
	messages, deliveries := divide(batch)
	tasks := e.rows.readDeliveries(ctx, deliveries, &limits)
	tasks = append(tasks, e.readByKey(ctx, messages, &limits)...)
	few, many := fanoutApart(tasks)
	e.rows.take(ctx, budget, few, begun)
	if len(many) > 0 {
		e.rows.take(ctx, 0, many, begun)
	}
}

// readByKey reads the lowest pending messages of the keys of the entries. An entry that
// was reported and is not among them is looked at by its id.
func (e *keyReader) readByKey(ctx context.Context, entries []*entry, limits *sql.Limits) (tasks []*task) {
	if len(entries) == 0 {
		return nil
	}
	wanted := make(map[relay.ID]*entry, len(entries))
	keys := e.keysOf(entries, wanted)
	all := keys
	keys, found, err := e.careful.readKeyRows(ctx, all, wanted, *limits)
	for i := 0; err == nil && i < len(found); i++ {
		err = e.loader.upTo(ctx, newest(found[i]))
	}
	e.rows.noteRead(ctx, err)
	if err != nil {
		for _, key := range all {
			e.keyring.readAnew(key.Key)
		}
		e.registry.leave(slices.Collect(maps.Values(wanted))...)
		return nil
	}
	short := make(map[string]bool) // keys with more messages in the table
	for i, rows := range found {
		taken, more := e.takeKey(keys[i], rows, wanted, limits)
		short[keys[i].Key] = more
		tasks = append(tasks, taken...)
	}
	tasks = append(tasks, e.readRest(ctx, wanted, short, limits)...)
	slices.SortFunc(tasks, func(a, b *task) int { return cmp.Compare(a.message.Seq, b.message.Seq) })
	return tasks
}

// keysOf lists the keys of the entries, each once, and the entries that stand for a
// message. Those that stand for a key alone have done their duty, as have those of a key
// with enough messages in memory: more of them would wait there too long. A key is read
// from its lowest message if something of it has become due, or was reported without its key.
func (e *keyReader) keysOf(entries []*entry, wanted map[relay.ID]*entry) (keys []sql.Key) {
	for _, en := range entries {
		if en.isKey() {
			e.registry.remove(en) // first, or the ring for what has room in a moment would be dropped
		}
		if en.anew || !en.streamed && !en.isKey() {
			e.keyring.readAnew(en.key)
		}
	}
	seen := make(map[string]bool, len(entries))
	for _, en := range entries {
		if !seen[en.key] && e.keyring.full(en.key) {
			e.registry.remove(en)
			continue
		}
		if !en.isKey() {
			wanted[en.id.Message] = en
		}
		if !seen[en.key] {
			seen[en.key] = true
			after, ahead, taken := e.keyring.from(en.key)
			keys = append(keys, sql.Key{Shard: relay.ShardOf(relay.ID{}, en.key), Key: en.key, After: after, Most: ahead, Taken: taken})
		}
	}
	return keys
}

// takeKey takes the messages of one key in their order, as far as they can be had, and reports
// whether the table may have more of them. Of a key that is read on after what is in
// memory, it stops before one that is not registered yet, neither for its ring nor for its
// time: another one that committed before it with a lower sequence is reported first.
func (e *keyReader) takeKey(key sql.Key, rows []sql.MessageRow, wanted map[relay.ID]*entry, limits *sql.Limits) (tasks []*task, short bool) {
	if len(rows) > 0 && rows[0].Late {
		e.awaitDue(key.Key, wanted)
		return nil, false
	}
	short = len(rows) == key.Most
	for i := range rows {
		row := &rows[i]
		id := row.Message.ID
		en := wanted[id]
		if en == nil && key.After > 0 && !e.registry.has(id) {
			break // nor may those behind it go that are reported in this moment
		}
		delete(wanted, id)
		if en == nil {
			if en = e.registry.claim(messageEntry(relay.Ring{ID: id, Key: key.Key}, false), 0); en == nil {
				short = true // it is under way already, or there is no room: nothing may overtake it
				break
			}
			en.unflushed = true
		}
		f := e.rows.judge(en, row, limits)
		if f == nil {
			short = true
			break
		}
		e.fly(f, row)
		f.charge(limits)
		tasks = append(tasks, f)
	}
	if short {
		e.readLater(key.Key)
	}
	return tasks, short
}

// awaitDue leaves a key alone until what is due of it has become an ordinary message, whose place may be before that of
// the others. The key stands for them.
func (e *keyReader) awaitDue(key string, wanted map[relay.ID]*entry) {
	for id, en := range wanted {
		if en.key == key {
			delete(wanted, id)
			e.registry.remove(en)
		}
	}
	e.due.now()
	time.AfterFunc(lateAgain, func() { e.registry.add([]entry{keyEntryAnew(key)}) })
}

// fly routes a message with a key and has the keyring count it.
func (e *keyReader) fly(f *task, row *sql.MessageRow) {
	e.keyring.took(row.Message.Key, row.Message.Seq)
	f.entry.keyed, f.entry.seq = true, row.Message.Seq
	f.route(e.config.Router, row)
}

// readLater sees to it that the rest of a key is read when what is in memory has ended, or
// else by a sweep.
func (e *keyReader) readLater(key string) {
	if !e.keyring.more(key) && !e.registry.lane.awaited(key) {
		e.registry.leave()
	}
}

// readRest looks at the messages that were reported and are not among the lowest of their keys:
// not visible yet, ended, for later, behind many others, or ahead of what was taken up
// already. Only the last are taken here; those that have their place among the lowest now are
// read by their key again.
func (e *keyReader) readRest(ctx context.Context, wanted map[relay.ID]*entry, short map[string]bool, limits *sql.Limits) (tasks []*task) {
	if len(wanted) == 0 {
		return nil
	}
	all := slices.Collect(maps.Values(wanted))
	entries, rows, err := e.careful.readMessageRows(ctx, all, *limits)
	if err == nil {
		err = e.loader.upTo(ctx, newest(rows))
	}
	e.rows.noteRead(ctx, err)
	if err != nil {
		e.heads.leave(all...)
		return nil
	}
	for i := range rows {
		row := &rows[i]
		key := row.Message.Key
		if row.Verdict == sql.Readable && (!row.Message.DeliverAt.IsZero() || row.Message.Seq > e.keyring.after(key)) {
			e.registry.remove(entries[i])
			if short[key] {
				e.readLater(key)
			} else {
				e.keyring.readAnew(key) // no ring comes for it again
				e.registry.add([]entry{keyEntry(key)})
			}
			continue
		}
		if f := e.rows.judge(entries[i], row, limits); f != nil {
			e.fly(f, row)
			f.charge(limits)
			tasks = append(tasks, f)
		}
	}
	return tasks
}

// unregistered is called when a message with a key has left memory.
func (e *keyReader) unregistered(key string, seq int64, back bool) {
	if e.keyring.unregistered(key, seq, back) {
		e.registry.add([]entry{keyEntry(key)})
	}
}

// expireLines puts what has waited in memory for its key for a second into the table, until
// ctx ends.
func (e *keyReader) expireLines(ctx context.Context) error {
	for wait := idleEvery; pause(ctx, wait, nil); {
		waited, more := e.order.expired(time.Now().Add(-maxKeyWait))
		for _, l := range waited {
			l.task.note(l, parkedBehind())
		}
		if wait = idleEvery; more {
			wait = maxKeyWait / 10
		}
	}
	return nil
}
