package sql

import (
	"time"

	"relay"
)

// Watch is what one relay has seen of the others: which leases and signs of life change, and since when they do
// not. It judges by this machine's monotonic clock alone, so that a jump of the database's clock, or of
// this machine's, ends no lease. The zero value has seen nothing. It is not safe for concurrent use.
type Watch struct {
	lease [relay.Shards]sighting[leaseMark]
	relay map[relay.ID]sighting[string]
}

// sighting is what stood somewhere, and since when it has been seen unchanged. Zero time: it was never seen.
type sighting[T comparable] struct {
	what  T
	since time.Time
}

// leaseMark is a lease of another relay as it stood. A renewal changes it: the counter or, by a relay of an
// earlier version, which does not count, the time at which it expires.
type leaseMark struct {
	shard           int16
	epoch, renewals int64
	expires         string
	ttl             time.Duration // of its owner. Zero: not known
}

// lifeSign is the row of another relay in relay.instance.
type lifeSign struct {
	relay     relay.ID
	seen      string
	streaming bool
	age       time.Duration // by the database's clock
}

// leases notes the leases of the other relays as they stand now, and returns those that have not changed for one ttl,
// which is their owners' if that is longer: they are not renewed.
func (w *Watch) leases(now time.Time, marks []leaseMark, ttl time.Duration) (dead []leaseMark) {
	for _, m := range marks {
		at := &w.lease[m.shard]
		if at.since.IsZero() || at.what != m {
			*at = sighting[leaseMark]{m, now}
		}
		if now.Sub(at.since) >= max(ttl, m.ttl) {
			dead = append(dead, m)
		}
	}
	return dead
}

// relays notes the signs of life of the other relays and counts those that live, this one included. One that is
// seen for the first time lives if its sign is younger than a ttl by the database's clock: nothing but the even
// share depends on that. Those that gave no sign for ten ttl may be forgotten.
func (w *Watch) relays(now time.Time, signs []lifeSign, ttl time.Duration) (fleet Fleet, gone []lifeSign) {
	fleet.Relays = 1
	known := make(map[relay.ID]sighting[string], len(signs))
	for _, s := range signs {
		at, seen := w.relay[s.relay]
		switch {
		case !seen:
			at = sighting[string]{s.seen, now}
			if s.age > ttl {
				at.since = now.Add(-ttl)
			}
		case at.what != s.seen:
			at = sighting[string]{s.seen, now}
		}
		known[s.relay] = at
		switch silent := now.Sub(at.since); {
		case silent < ttl:
			fleet.Relays++
			fleet.Streaming = fleet.Streaming || s.streaming
		case silent > 10*ttl:
			gone = append(gone, s)
		}
	}
	w.relay = known
	return fleet, gone
}

// Until returns how long it is until the first lease of another relay is taken for dead if it is not renewed
// meanwhile, and false if there is none.
func (w *Watch) Until(ttl time.Duration) (wait time.Duration, some bool) {
	now := time.Now()
	for i := range w.lease {
		at := &w.lease[i]
		if at.since.IsZero() {
			continue
		}
		left := max(ttl, at.what.ttl) - now.Sub(at.since)
		if left > 0 && (!some || left < wait) {
			wait, some = left, true
		}
	}
	return wait, some
}
