package machine

import (
	"strings"
	"time"
)

// share is how many times the free room one destination may hold: three quarters of the budget
// if it is alone, three sevenths each if there are two, and so on. There is always some left
// for one that comes (Choudhury and Hahne, "Dynamic Queue Length Thresholds", 1998).
const share = 3

// budget bounds what is in memory. A row that is not routed yet is one entry, afterwards each
// of its deliveries is one. The last eighth of the entries is for sweeps and parked deliveries,
// which for their part may hold one half.
type budget struct {
	maxEntries int
	maxBytes   int64
	entries    int
	routed     int // of them, deliveries of rows that were read
	bytes      int64
	swept      int // entries that sweeps have found, or that were parked
}

// destination is what is in memory for one circuit, and what waits for it in the table.
type destination struct {
	name    string
	entries int
	bytes   int64
	slow    bool // the last delivery that waited for it waited in vain
	// parked says that deliveries are parked in the table; they were read up to after.
	parked     bool
	after      int64
	moreParked bool // the pass over them has found some, or some were parked since it began
	askAt      time.Duration
	busy       bool // it is being asked for room, or what is parked is being read
	room       int

	waiting    []*delivery   // that wait in memory for room
	unwritable []*entry      // outcomes that cannot be written because of their rows
	stalled    time.Duration // when one was written last, or could not be written first
	retriedAll time.Duration // when they were last tried before their time
	listed     bool          // it is among those that are asked for room
}

// destinations are those that have something in memory or waiting.
type destinations struct {
	m      *Machine
	byName map[string]*destination
	asking []*destination // with deliveries that wait for room, in the table or in memory
	ask    alarm          // for when one of them is to be asked next
	named  int            // of them, those that rows name
	// part is the name up to which those were listed that rows name; empty: all, or none yet.
	part    string
	list    alarm // for when the table is asked for them again
	listing bool
}

// fits reports whether one more row may be registered.
func (b *budget) fits(swept bool) bool {
	if swept {
		return b.swept < max(1, b.maxEntries/2) && b.entries < b.maxEntries
	}
	return b.entries < b.maxEntries-b.maxEntries/8
}

// room is how many more rows a sweep may register.
func (b *budget) room() int {
	if b.bytes > b.maxBytes/2 {
		return 0
	}
	return max(0, min(max(1, b.maxEntries/2)-b.swept, b.maxEntries-b.entries))
}

// admits reports whether a destination may hold one delivery more of a size in bytes. One that
// holds nothing always may.
func (b *budget) admits(d *destination, bytes int64) bool {
	return d.entries == 0 ||
		d.entries < max(1, share*(b.maxEntries-b.routed)) && d.bytes+bytes <= share*max(0, b.maxBytes-b.bytes)
}

// destination returns what is known of a circuit.
func (ds *destinations) of(name string) *destination {
	d := ds.byName[name]
	if d == nil {
		d = &destination{name: name}
		ds.byName[name] = d
	}
	return d
}

// forget drops a destination that has nothing in memory and nothing known to wait.
func (ds *destinations) forgetIfEmpty(d *destination) {
	if d.entries == 0 && !d.listed && len(d.unwritable) == 0 {
		delete(ds.byName, d.name)
	}
}

// paused reports whether a destination is that of a paused subscription, or of one of its
// instances.
func (ds *destinations) paused(destination string) bool {
	name, _, _ := strings.Cut(destination, "/")
	s := ds.m.subscribers[name]
	return s != nil && s.Paused
}
