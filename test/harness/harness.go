// Package harness gives tests real servers: a fresh database in a PostgreSQL server that
// the packages' test process shares, a fresh virtual host on a RabbitMQ node likewise, or
// servers of a test's own. It builds the product's binary and waits for the outside world.
//
// Each test process, that is each package under go test ./..., starts its own servers on
// first use, on free ports, so packages may run at once. A package that uses a shared
// server calls Main from its TestMain; without it the servers still end with the process,
// only less politely. A missing server fails the test with the command that installs it.
package harness

import (
	"fmt"
	"math"
	"os"
	"sync"
	"testing"
	"time"
)

// stops ends what the whole test process shares, the last started first.
var stops struct {
	sync.Mutex
	functions []func() error
}

// atExit has Main call stop after the tests.
func atExit(stop func() error) {
	stops.Lock()
	defer stops.Unlock()
	stops.functions = append(stops.functions, stop)
}

// Main runs the tests, stops the servers that they shared, and exits. Call it from
// TestMain.
func Main(m *testing.M) {
	code := m.Run()
	stops.Lock()
	for i := len(stops.functions) - 1; i >= 0; i-- {
		if err := stops.functions[i](); err != nil {
			fmt.Fprintln(os.Stderr, "harness:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// patience is how much longer than a test expects a busy machine may take: a deadline that
// is missed should mean that something is wrong, not that it was slow.
const patience = 3

// Eventually polls ok until it returns true, and fails the test when that takes several
// times longer than within, which is how long it takes on a machine with nothing else to
// do at the most. what completes the sentence 'not within 15s: …'.
func Eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	AsLongAsItMoves(t, within, what, func() (bool, int) { return ok(), 0 })
}

// AsLongAsItMoves is Eventually for what takes as long as there is work: within begins anew when left, which counts
// what is still to be done, is lower than ever before.
func AsLongAsItMoves(t testing.TB, within time.Duration, what string, look func() (ok bool, left int)) {
	t.Helper()
	within *= patience
	begun, least := time.Now(), math.MaxInt
	for {
		ok, left := look()
		if ok {
			return
		}
		if left < least {
			begun, least = time.Now(), left
		}
		waited := time.Since(begun)
		if waited > within {
			t.Fatalf("not within %s: %s", within, what)
		}
		// Most tests wait most of the time: to ask seldom leaves the machine to those that work.
		time.Sleep(min(max(waited/10, 5*time.Millisecond), 200*time.Millisecond))
	}
}
