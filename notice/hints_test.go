package notice

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"relay"
)

func TestHintsAreBounded(t *testing.T) {
	t.Parallel()
	h := NewHints(HintsConfig{})
	ids := make([]relay.ID, 3*hintsMost)
	for i := range ids {
		ids[i] = relay.NewID()
	}
	if dropped, _ := h.add(1, ids); dropped != 2*hintsMost || len(h.ids) != hintsMost {
		t.Errorf("%d were dropped, %d wait", dropped, len(h.ids))
	}
	if dropped, _ := h.add(1, ids[:hintsMost]); dropped != 0 || len(h.ids) != hintsMost {
		t.Errorf("what waits already: %d were dropped, %d wait", dropped, len(h.ids))
	}
	var taken []hint
	for {
		batch, dropped := h.take()
		if len(batch) == 0 {
			break
		}
		if first := len(taken) == 0; first != (dropped == 2*hintsMost) {
			t.Errorf("%d dropped after %d ids", dropped, len(taken))
		}
		taken = append(taken, batch...)
	}
	for i, one := range taken {
		if one.id != ids[i] {
			t.Fatalf("id %d is another one", i)
		}
	}
	if len(taken) != hintsMost || len(h.here) != 0 {
		t.Errorf("%d were taken, %d are remembered", len(taken), len(h.here))
	}
}

// Each notification without ids caused a sweep of all groups.
func TestHintsCauseOneSweepASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sweeps []time.Duration
		begun := time.Now()
		h := NewHints(HintsConfig{Sweep: func() {
			mu.Lock()
			defer mu.Unlock()
			sweeps = append(sweeps, time.Since(begun))
		}})
		for range 10_000 {
			h.Heard(1, nil)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(2 * hintedSweepEvery)
		synctest.Wait()
		if len(sweeps) < 10 || len(sweeps) > 11 || sweeps[0] > time.Millisecond {
			t.Errorf("%d sweeps in 10 s, the first after %s", len(sweeps), sweeps[0])
		}
	})
}

// One sender that names ids at random takes no room from the others.
func TestASenderOfUnknownIdsIsNotHeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHints(HintsConfig{})
		const forger, honest = 1, 2
		ids := func(n int) (all []relay.ID) {
			for range n {
				all = append(all, relay.NewID())
			}
			return all
		}
		if _, heeded := h.add(forger, ids(hintsMost-1)); !heeded {
			t.Fatal("a sender that nothing is known of is not heeded")
		}
		h.add(honest, ids(1))
		batch, _ := h.take()
		h.charge(batch)
		if batch, dropped := h.take(); len(batch) != 1 || batch[0].sender != honest || dropped != hintsMost-1-hintsBatch {
			t.Errorf("took %d, dropped %d", len(batch), dropped)
		}
		if dropped, heeded := h.add(forger, ids(10)); heeded || dropped != 10 {
			t.Errorf("the forger is heeded: %v, dropped %d", heeded, dropped)
		}
		if dropped, heeded := h.add(honest, ids(10)); !heeded || dropped != 0 {
			t.Errorf("the honest sender is heeded: %v, dropped %d", heeded, dropped)
		}
		time.Sleep(hintsBatch * vainDebt)
		if _, heeded := h.add(forger, ids(10)); !heeded {
			t.Error("a sender is never forgiven")
		}
		h.charge(nil)
		if len(h.owing) != 0 {
			t.Errorf("%d senders are remembered", len(h.owing))
		}
	})
}
