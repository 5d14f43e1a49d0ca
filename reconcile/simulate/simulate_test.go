package simulate

import (
	"flag"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	firstSeed = flag.Uint64("simulate.seed", 1, "the first seed")
	stride    = flag.Uint64("simulate.stride", 1, "by how much seeds differ: 7, from 6 on, has histories of a hot key alone")
	runFor    = flag.Duration("simulate.for", time.Second, "how much processor time histories are run for")
)

// TestFind runs the histories of one seed after the other for a while. The first that breaks a
// rule is shortened and told.
func TestFind(t *testing.T) {
	begun, used := time.Now(), cpuTime(t)
	n := 0
	for seed := *firstSeed; n == 0 || n%64 != 0 || cpuTime(t)-used < *runFor; seed += *stride {
		h := newHistory(seed)
		if err := run(h, nil); err != nil {
			t.Fatalf("history %d, of seed %d, breaks a rule:\n%v\n\nThe shortest that breaks it, too:\n\n%s", n+1, seed, err, tell(shrink(h)))
		}
		n++
	}
	cpu := cpuTime(t) - used
	t.Logf("%d histories in %s, %.0f for each minute of one core", n, time.Since(begun).Round(time.Millisecond), float64(n)/cpu.Minutes())
}

// TestTell tells the history of one seed as it is.
func TestTell(t *testing.T) {
	t.Log(tell(newHistory(*firstSeed)))
}

// TestCorpus runs the histories again that have found a fault once.
func TestCorpus(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/seeds")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		word, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		seed, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			t.Fatalf("testdata/seeds: %v", err)
		}
		if h := newHistory(seed); run(h, nil) != nil {
			t.Errorf("seed %d is broken again; it once was since %s\n%s", seed, what, tell(shrink(h)))
		}
	}
}

// TestSameSeed checks that a seed determines everything.
func TestSameSeed(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 50; seed++ {
		if first, second := tell(newHistory(seed)), tell(newHistory(seed)); first != second {
			t.Fatalf("seed %d has two histories:\n%s\n%s", seed, first, second)
		}
	}
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
