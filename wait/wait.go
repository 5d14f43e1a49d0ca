// Package wait has a goroutine wait for a time, for a signal, or for the end of its context.
package wait

import (
	"context"
	"time"
)

// For waits for d. It reports false if ctx ends before.
func For(ctx context.Context, d time.Duration) bool { return Until(ctx, d, nil) }

// Until waits until wake receives, for d at the most. It reports false if ctx ends before.
func Until(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-wake:
	}
	return true
}

// Ready waits until ready receives, and then for company as long as that says. It reports false if ctx ends before.
func Ready(ctx context.Context, ready <-chan struct{}, company time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-ready:
	}
	return company == 0 || For(ctx, company)
}

// Signal sends without waiting to a channel that holds one value.
func Signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
