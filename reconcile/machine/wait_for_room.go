package machine

import (
	"slices"
	"time"

	"relay"
)

const (
	// roomWait is how long what waits for room may need altogether, at the pace of its destination. What waits for longer
	// is read again: that finds out what else became of the destination.
	roomWait = 2 * time.Second
	// roomWaitMost is how long a delivery may wait in memory before it is parked after all.
	roomWaitMost = 5 * time.Second
	// roomEveryWaiting keeps two questions for room apart while something waits in memory.
	roomEveryWaiting = 10 * time.Millisecond
)

// waitForRoom has a delivery wait in memory for which its destination had no room just now. If the destination has as
// much there as it works off soon, a pending message on which nothing else depends stays as it is in the table. What
// can do neither has to be parked, and waitForRoom reports false. To write it twice costs several times as much as to
// read it again.
func (d *delivery) waitForRoom(o *relay.Outcome) bool {
	e, dest := d.entry, d.destination
	m := e.m
	if d.noRoomSince == 0 {
		d.noRoomSince = m.now
	}
	if o.Pace == 0 || !e.alone() || m.stopping || !m.leases.mayRead(e.shard) || m.now-d.noRoomSince > roomWaitMost {
		return false
	}
	if float64(len(dest.waiting)) >= max(1, o.Pace*roomWait.Seconds()) {
		if !e.id.Pending() || e.key != nil {
			return false
		}
		d.step = idle
		e.leaveInTable()
		m.sweepLater(pendingOnly)
		return true
	}
	d.step, e.state = idle, toRead
	dest.waiting = append(dest.waiting, d)
	m.destinations.askBy(dest, m.now+roomEveryWaiting)
	return true
}

// serve has those read again for which there is room, and those whose last read is too old. It returns the room that is
// left.
func (dest *destination) serve(now time.Duration, room int) int {
	n := 0
	for ; n < len(dest.waiting) && (room > 0 || now-dest.waiting[n].entry.readAt > roomWait); n++ {
		if d := dest.waiting[n]; !d.entry.removed && d.entry.state == toRead && d.step == idle {
			d.entry.readSoon()
			room--
		}
	}
	dest.waiting = slices.Delete(dest.waiting, 0, n)
	return max(0, room)
}
