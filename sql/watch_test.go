package sql

import (
	"testing"
	"testing/synctest"
	"time"

	"relay"
)

func TestALeaseEndsByTheObserversClock(t *testing.T) {
	t.Parallel()
	const ttl = 10 * time.Second
	renew := func(m leaseMark) leaseMark { m.renewals++; return m }
	extend := func(m leaseMark) leaseMark { m.expires += "x"; return m }
	take := func(m leaseMark) leaseMark { m.epoch++; return m }
	for name, change := range map[string]func(leaseMark) leaseMark{"it is renewed": renew, "it is extended": extend, "it is taken": take} {
		synctest.Test(t, func(t *testing.T) {
			var w Watch
			mark := leaseMark{shard: 3, epoch: 1, ttl: ttl}
			look := func() int { return len(w.leases(time.Now(), []leaseMark{mark}, ttl)) }
			if look() != 0 {
				t.Errorf("%s: it is dead at first sight", name)
			}
			time.Sleep(ttl - 1)
			mark = change(mark)
			if look() != 0 {
				t.Errorf("%s: it is dead", name)
			}
			if wait, some := w.Until(ttl); !some || wait != ttl {
				t.Errorf("%s: it is dead in %s, %v", name, wait, some)
			}
			time.Sleep(ttl - 1)
			if look() != 0 {
				t.Errorf("%s: it is dead too early", name)
			}
			time.Sleep(time.Nanosecond)
			if look() != 1 {
				t.Errorf("%s: it is not dead", name)
			}
			if _, some := w.Until(ttl); some {
				t.Errorf("%s: it is dead twice", name)
			}
		})
	}
}

func TestARelayLivesAsLongAsItGivesSigns(t *testing.T) {
	t.Parallel()
	const ttl = 10 * time.Second
	synctest.Test(t, func(t *testing.T) {
		var w Watch
		living, fresh, old := lifeSign{relay: relay.NewID(), streaming: true}, lifeSign{relay: relay.NewID()}, lifeSign{relay: relay.NewID(), age: time.Hour}
		look := func(relays, gone int) {
			t.Helper()
			living.seen += "x"
			living.age = time.Hour // the database's clock has jumped
			fleet, dead := w.relays(time.Now(), []lifeSign{living, fresh, old}, ttl)
			if fleet.Relays != relays || len(dead) != gone || !fleet.Streaming && relays > 1 {
				t.Errorf("%+v live, %d are gone, want %d and %d", fleet, len(dead), relays, gone)
			}
		}
		living.age = 0
		w.relays(time.Now(), []lifeSign{living, fresh, old}, ttl)
		time.Sleep(ttl - 1)
		look(3, 0)
		time.Sleep(time.Nanosecond)
		look(2, 0)
		time.Sleep(9 * ttl)
		look(2, 1)
		time.Sleep(ttl)
		look(2, 2)
	})
}
