package wait

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestAGoroutineWaitsForTheFirstOfWhatMayCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		signal, begun := make(chan struct{}, 1), time.Now()
		if !For(t.Context(), time.Second) || time.Since(begun) != time.Second {
			t.Errorf("a second took %s", time.Since(begun))
		}
		Signal(signal)
		Signal(signal) // one is enough
		if !Until(t.Context(), time.Hour, signal) || !Until(t.Context(), time.Second, signal) || time.Since(begun) != 2*time.Second {
			t.Errorf("a signal and a second later it is %s", time.Since(begun))
		}
		Signal(signal)
		if !Ready(t.Context(), signal, time.Second) || time.Since(begun) != 3*time.Second {
			t.Errorf("with company it is %s", time.Since(begun))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if For(ctx, time.Hour) || Ready(ctx, signal, 0) {
			t.Error("it waits on although the context has ended")
		}
	})
}
