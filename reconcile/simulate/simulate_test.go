package simulate

import (
	"flag"
	"syscall"
	"testing"
	"time"
)

var (
	firstSeed = flag.Uint64("simulate.seed", 1, "the first seed")
	runFor    = flag.Duration("simulate.for", 2*time.Second, "how much processor time histories are run for")
)

// TestFind runs the histories of one seed after the other for a while.
func TestFind(t *testing.T) {
	begun, used := time.Now(), cpuTime(t)
	n := 0
	for seed := *firstSeed; n%64 != 0 || cpuTime(t)-used < *runFor; seed++ {
		h := newHistory(seed)
		if err := run(h, nil); err != nil {
			t.Fatalf("seed %d, history %d: %v", seed, n+1, err)
		}
		n++
	}
	cpu := cpuTime(t) - used
	t.Logf("%d histories in %s, %.0f for each minute of one core", n, time.Since(begun).Round(time.Millisecond), float64(n)/cpu.Minutes())
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

// cpuTime is the processor time that this process has used. Other work on the machine does not
// count.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
