package cdc

import (
	"testing"
	"time"

	"relay/test/harness"
)

// changes is how many messages the recorder heard to be changed by hand.
func (r *recorder) changes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.changed)
}

// sweeps is how many sweeps it was asked for by hints.
func (r *recorder) sweeps() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func TestStreamHearsWhatPeopleChange(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.HeartbeatEvery = time.Minute // it does not wait for the next beat
	b.streaming()
	const notify = "select pg_notify('relay_changed', '" + someID + "')"
	for n := 1; n <= 3; n++ {
		b.relay(notify)
		harness.Eventually(t, 10*time.Second, "a change is heard", func() bool { return b.rec.changes() == n })
	}
	if rings, _ := b.rec.count(); rings != 0 || b.rec.changed[0].String() != someID {
		t.Errorf("%d rings, changed %v", rings, b.rec.changed)
	}
	again := b.missedAgain(1)
	b.admin("select pg_terminate_backend(pid) from pg_stat_activity where pid in (select pid from pg_stat_activity where usename = 'relay' and backend_type = 'client backend' and datname = current_database())")
	harness.Eventually(t, 10*time.Second, "a sweep follows the lost connection", again)
	b.relay(notify)
	harness.Eventually(t, 10*time.Second, "a change is heard again", func() bool { return b.rec.changes() == 4 })
}

func TestListenerHearsWhatPeopleChange(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.listening()
	b.relay("select pg_notify('relay_changed', '" + someID + "')")
	harness.Eventually(t, 10*time.Second, "a ring", func() bool { return b.rec.changes() == 1 })
}
