package machine

import (
	"slices"
	"time"

	"relay"
)

const (
	// crowdFor is how long what waits for room may need altogether, at the pace of its destination. What waits for longer
	// is read again: that finds out what else became of the destination.
	crowdFor = 2 * time.Second
	// crowdLongest is how long a delivery may wait in memory before it is parked after all.
	crowdLongest = 5 * time.Second
	// crowdEvery keeps two questions for room apart while something waits in memory.
	crowdEvery = 10 * time.Millisecond
)

// crowds has a delivery wait for which its destination had no room just now, and reports false if it has to be parked:
// in memory or, if its destination has as much there as it works off soon, and nothing else depends on it, as a pending
// row in the table. To write it twice costs several times as much as to read it again.
func (d *delivery) crowds(o *relay.Outcome) bool {
	e, dest := d.entry, d.destination
	m := e.m
	if d.crowdedAt == 0 {
		d.crowdedAt = m.now
	}
	if o.Pace == 0 || !e.alone() || m.stopping || !m.leases.takes(e.shard) || m.now-d.crowdedAt > crowdLongest {
		return false
	}
	if float64(len(dest.crowd)) >= max(1, o.Pace*crowdFor.Seconds()) {
		if !e.id.Pending() || e.key != nil {
			return false
		}
		d.step = idle
		e.leaveInTable()
		m.sweepLater(pendingOnly)
		return true
	}
	d.step, e.state = idle, toRead
	dest.crowd = append(dest.crowd, d)
	m.destinations.await(dest, m.now+crowdEvery)
	return true
}

// serve has those read again for which there is room, and those whose last read is too old. It returns the room that is
// left.
func (dest *destination) serve(now time.Duration, room int) int {
	n := 0
	for ; n < len(dest.crowd) && (room > 0 || now-dest.crowd[n].entry.readAt > crowdFor); n++ {
		if d := dest.crowd[n]; !d.entry.removed && d.entry.state == toRead && d.step == idle {
			d.entry.readSoon()
			room--
		}
	}
	dest.crowd = slices.Delete(dest.crowd, 0, n)
	return max(0, room)
}
