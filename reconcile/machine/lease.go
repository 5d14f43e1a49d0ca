package machine

import (
	"slices"
	"time"

	"relay"
)

// leases is what this relay owns, and what is in memory of each shard.
type leases struct {
	m      *Machine
	until  time.Duration
	shards [relay.Shards]shard
}

// shard is one shard's lease.
type shard struct {
	owned    bool
	draining bool // it is given up as soon as nothing of it is under way
	epoch    int64
	entries  []*entry
}

func (l *leases) of(s int16) *shard { return &l.shards[s] }

// Owns reports whether a shard is this relay's: of one that is given up, as long as something of it is under way.
func (m *Machine) Owns(shard int16) bool { return m.leases.of(shard).owned }

// mayRead reports whether messages of the shard may be read.
func (l *leases) mayRead(s int16) bool { return l.of(s).owned && !l.of(s).draining }

// mayStart reports whether attempts for the shard may start now.
func (l *leases) mayStart(s int16) bool {
	return l.mayRead(s) && l.m.now < l.until && !l.m.failing && !l.m.stopping
}

// add notes that an entry belongs to a shard.
func (l *leases) add(e *entry) {
	at := l.of(e.shard)
	e.index = len(at.entries)
	at.entries = append(at.entries, e)
}

// remove undoes that.
func (l *leases) remove(e *entry) {
	at := l.of(e.shard)
	last := at.entries[len(at.entries)-1]
	at.entries[e.index] = last
	last.index = e.index
	at.entries[len(at.entries)-1] = nil
	at.entries = at.entries[:len(at.entries)-1]
}

// each calls do for all entries of a shard, the last first. do may remove any of them.
func (l *leases) each(s int16, do func(*entry)) {
	for _, e := range slices.Backward(slices.Clone(l.shards[s].entries)) {
		if !e.removed {
			do(e)
		}
	}
}

// abandon removes everything of a shard that no attempt and no statement is under way for.
func (l *leases) abandon(s int16) { l.each(s, (*entry).abandon) }

// apply begins with the shard: whatever the table holds of it may be waiting.
func (e Leased) apply(m *Machine) {
	at := m.leases.of(e.Shard)
	if at.owned && at.epoch == e.Epoch && !at.draining {
		return
	}
	if at.epoch != e.Epoch {
		m.leases.lose(e.Shard)
	}
	at.owned, at.draining, at.epoch = true, false, e.Epoch
	m.searchTable()
}

// apply extends the leases. What was given back when they had ended is read now.
func (e Renewed) apply(m *Machine) { m.leases.until = e.Until }

func (e Drain) apply(m *Machine) {
	at := m.leases.of(e.Shard)
	if !at.owned || at.draining {
		return
	}
	at.draining = true
	m.leases.abandon(e.Shard)
	m.leases.releaseIfDrained(e.Shard)
}

// releaseIfDrained releases a shard that is given up when nothing of it is in memory.
func (l *leases) releaseIfDrained(s int16) {
	if at := l.of(s); at.owned && at.draining && len(at.entries) == 0 {
		at.owned, at.draining = false, false
		l.m.do(Release{Shard: s})
	}
}

func (e Lost) apply(m *Machine) { m.leases.lose(e.Shard) }

func (l *leases) lose(s int16) {
	at := l.of(s)
	at.owned, at.draining = false, false
	l.abandon(s)
}
