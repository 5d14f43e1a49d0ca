package notify

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestWatchdogCutsOffOneAttemptAlone checks that an attempt that outlives its time is cancelled, and that the next one
// is not.
func TestWatchdogCutsOffOneAttemptAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := watchdog{base: t.Context()}
		first := w.begin(time.Second)
		time.Sleep(time.Second - 1)
		w.end()
		time.Sleep(time.Hour)
		if second := w.begin(time.Second); second != first || second.Err() != nil {
			t.Fatal("an attempt that kept to its time was cut off")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if first.Err() == nil {
			t.Fatal("an attempt that outlived its time was not cut off")
		}
		w.end()
		third := w.begin(time.Second)
		if third.Err() != nil {
			t.Fatal("the next attempt was cut off, too")
		}
		w.end()
		w.close()
		if third.Err() == nil {
			t.Fatal("the context outlives the worker")
		}
	})
}
