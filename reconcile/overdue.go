package reconcile

import (
	"context"
	"time"

	"relay/reconcile/machine"
	"relay/wait"
)

const (
	// overdueEvery is how often overdue deliveries are given up.
	overdueEvery = 10 * time.Second
	// giveUpAgain is when the next batch of overdue deliveries is looked for: the one before
	// is found again until it has ended.
	giveUpAgain = 200 * time.Millisecond
	// overdueBatch is the most deliveries that one statement finds.
	overdueBatch = 500
)

// overdueFinder gives up what has been due for too long.
type overdueFinder struct{ *shared }

// watchOverdue gives up what no consumer can wait for, until ctx ends.
func (e *overdueFinder) watchOverdue(ctx context.Context) error {
	for wait.For(ctx, overdueEvery) {
		e.trouble.NoteDuring(ctx, "give up overdue messages", e.giveUpAll(ctx))
	}
	return nil
}

// giveUpAll gives up one batch after the other.
func (e *overdueFinder) giveUpAll(ctx context.Context) error {
	for until := time.Now().Add(overdueEvery); ; {
		n, err := e.giveUp(ctx)
		if err != nil || n < overdueBatch || time.Now().After(until) {
			return err
		}
		if !wait.For(ctx, giveUpAgain) || !e.loop.waitWorking(ctx) {
			return nil
		}
	}
}

// giveUp has deliveries ended that have been due for too long, a batch at the most, and returns how many it found.
func (e *overdueFinder) giveUp(ctx context.Context) (found int, err error) {
	if e.config.Policy.GiveUpAfter == 0 {
		return 0, nil
	}
	overdue, err := e.config.Store.Overdue(ctx, e.leases.Now().Shards, e.config.Policy.GiveUpAfter, overdueBatch)
	if err != nil || len(overdue) == 0 {
		return 0, err
	}
	e.loop.tell(machine.Overdue{Deliveries: dueDeliveries(overdue)})
	return len(overdue), nil
}
