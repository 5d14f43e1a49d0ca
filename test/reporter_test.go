package test

import (
	"fmt"
	"sync"
	"testing"
)

// reporter is a test that says once more at its very end why it failed: what whole systems
// print in between is long, and of long output often only a part is kept.
type reporter struct {
	testing.TB

	mu   sync.Mutex
	whys []string
}

// newReporter takes the place of t. What is registered with t.Cleanup afterwards runs
// before the reasons are repeated.
func newReporter(t testing.TB) *reporter {
	t.Helper()
	r := &reporter{TB: t}
	t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, why := range r.whys {
			t.Log("it failed because: ", why)
		}
	})
	return r
}

func (r *reporter) note(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.whys = append(r.whys, why)
}

func (r *reporter) Error(arguments ...any) {
	r.Helper()
	r.note(fmt.Sprint(arguments...))
	r.TB.Error(arguments...)
}

func (r *reporter) Errorf(format string, arguments ...any) {
	r.Helper()
	r.note(fmt.Sprintf(format, arguments...))
	r.TB.Errorf(format, arguments...)
}

func (r *reporter) Fatal(arguments ...any) {
	r.Helper()
	r.note(fmt.Sprint(arguments...))
	r.TB.Fatal(arguments...)
}

func (r *reporter) Fatalf(format string, arguments ...any) {
	r.Helper()
	r.note(fmt.Sprintf(format, arguments...))
	r.TB.Fatalf(format, arguments...)
}
