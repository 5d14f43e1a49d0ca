package cdc

import (
	"context"
	"math/rand/v2"
	"time"
)

// The pauses between attempts double, with jitter, so that several relays do not come at the same
// moment. After an attempt that lasted longer than pauseReset they begin again at the first.
const (
	pauseFirst = 100 * time.Millisecond
	pauseMax   = 5 * time.Second
	pauseReset = 10 * time.Second
)

// supervise runs session until ctx ends, with a pause after each end, and reports why each
// ended. A doorbell that cannot be had costs latency and not messages, so it never gives up.
func supervise(ctx context.Context, session func(context.Context) error, report func(error)) {
	var pause time.Duration
	for {
		began := time.Now()
		err := session(ctx)
		if ctx.Err() != nil {
			return
		}
		report(err)
		if time.Since(began) > pauseReset {
			pause = 0
		}
		pause = min(max(2*pause, pauseFirst), pauseMax)
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case <-ctx.Done():
			return
		}
	}
}
