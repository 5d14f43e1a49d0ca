package simulate

import (
	"flag"
	"testing"
	"time"
)

var (
	firstSeed = flag.Uint64("simulate.seed", 1, "the first seed")
	runFor    = flag.Duration("simulate.for", 2*time.Second, "how long histories are run")
)

// TestFind runs the histories of one seed after the other for a while.
func TestFind(t *testing.T) {
	begun := time.Now()
	n, steps := 0, 0
	for seed := *firstSeed; time.Since(begun) < *runFor; seed++ {
		h := newHistory(seed)
		if err := run(h, nil); err != nil {
			t.Fatalf("seed %d, history %d: %v", seed, n+1, err)
		}
		n++
	}
	took := time.Since(begun)
	t.Logf("%d histories in %s, %.0f a minute; %d steps", n, took.Round(time.Millisecond), float64(n)/took.Minutes(), steps)
}

// TestTell tells one history.
func TestTell(t *testing.T) {
	var tell []string
	err := run(newHistory(*firstSeed), &tell)
	for _, line := range tell {
		t.Log(line)
	}
	t.Log(err)
}
