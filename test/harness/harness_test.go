package harness

import (
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

func TestEventuallyReturnsAsSoonAsItIsTrue(t *testing.T) {
	t.Parallel()
	calls := 0
	Eventually(t, time.Minute, "the third call", func() bool { calls++; return calls == 3 })
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}
}
