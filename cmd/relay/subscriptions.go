package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"relay/sql"
)

// SubscriptionsCmd is `relay subscriptions …`: who receives which topics, and how.
type SubscriptionsCmd struct {
	List   SubscriptionsListCmd   `cmd:"" help:"List subscriptions with what waits for them."`
	Set    SubscriptionsSetCmd    `cmd:"" help:"Make a subscription, or change what is given of one."`
	Pause  SubscriptionsPauseCmd  `cmd:"" help:"Keep a subscription's messages in the table."`
	Resume SubscriptionsResumeCmd `cmd:"" help:"Send again what waits for a paused subscription."`
	Test   SubscriptionsTestCmd   `cmd:"" help:"Send one test message to a subscription alone, and say how it ended."`
	Replay SubscriptionsReplayCmd `cmd:"" help:"Send the messages of the past to a subscription, by a job in the background."`
	Delete SubscriptionsDeleteCmd `cmd:"" help:"Delete a subscription."`
}

// noSubscription names the subscription that is not there.
func noSubscription(err error, name string) error {
	if errors.Is(err, sql.ErrNoSubscription) {
		return fmt.Errorf("there is no subscription %s: relay subscriptions list shows them all", quote(name))
	}
	return err
}

// setPaused pauses or resumes a subscription.
func setPaused(ctx context.Context, app *App, name string, paused bool, says string) error {
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	columns, err := json.Marshal(map[string]any{"paused": paused})
	if err != nil {
		return err
	}
	if _, err := store.SetSubscription(ctx, name, columns, false); err != nil {
		return noSubscription(err, name)
	}
	_, err = fmt.Fprintf(app.Stdout, "%s  %s\n", name, says)
	return err
}

// SubscriptionsPauseCmd is `relay subscriptions pause NAME`.
type SubscriptionsPauseCmd struct {
	Name string `arg:"" help:"Subscription."`
}

// Run pauses a subscription. Relays that run know of it within two seconds.
func (c SubscriptionsPauseCmd) Run(ctx context.Context, app *App) error {
	return setPaused(ctx, app, c.Name, true, "paused")
}

// SubscriptionsResumeCmd is `relay subscriptions resume NAME`.
type SubscriptionsResumeCmd struct {
	Name string `arg:"" help:"Subscription."`
}

// Run resumes a subscription: what has waited is sent, in the order of its keys.
func (c SubscriptionsResumeCmd) Run(ctx context.Context, app *App) error {
	return setPaused(ctx, app, c.Name, false, "resumed")
}

// SubscriptionsDeleteCmd is `relay subscriptions delete NAME`.
type SubscriptionsDeleteCmd struct {
	Name  string `arg:"" help:"Subscription."`
	Force bool   `name:"force" help:"Cancel the deliveries that have not ended, each with an error that says so."`
}

// Run deletes a subscription. The database refuses that while deliveries are outstanding.
func (c SubscriptionsDeleteCmd) Run(ctx context.Context, app *App) error {
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	err = store.DeleteSubscription(ctx, c.Name)
	cancelled := 0
	if errors.Is(err, sql.ErrOutstanding) {
		if !c.Force {
			return c.refused(ctx, store)
		}
		cancelled, err = c.cancelAndDelete(ctx, store)
	}
	if err != nil {
		return noSubscription(err, c.Name)
	}
	if cancelled > 0 {
		_, err = fmt.Fprintf(app.Stdout, "%s  deleted, %d deliveries cancelled\n", c.Name, cancelled)
	} else {
		_, err = fmt.Fprintf(app.Stdout, "%s  deleted\n", c.Name)
	}
	return err
}

// refused says how much is outstanding.
func (c SubscriptionsDeleteCmd) refused(ctx context.Context, store *sql.Store) error {
	n, err := store.CountOutstanding(ctx, c.Name)
	if err != nil {
		return err
	}
	number := fmt.Sprint(n)
	if n == sql.CountLimit {
		number += " or more"
	}
	return fmt.Errorf("subscription %s was not deleted, deliveries outstanding: %s; let them end, or cancel them with --force", quote(c.Name), number)
}

// cancelAndDelete cancels what is outstanding until the database lets the subscription go:
// meanwhile relays may take up messages for it.
func (c SubscriptionsDeleteCmd) cancelAndDelete(ctx context.Context, store *sql.Store) (cancelled int, err error) {
	const reason = "cancelled by relay subscriptions delete --force"
	for tries := 0; ; {
		n, found, err := store.CancelOutstanding(ctx, c.Name, reason, changeBatch)
		if cancelled += n; err != nil {
			return cancelled, err
		}
		if found == 0 {
			if err := store.DeleteSubscription(ctx, c.Name); !errors.Is(err, sql.ErrOutstanding) {
				return cancelled, err
			}
			continue
		}
		if n > 0 {
			tries = 0
			continue
		}
		if tries++; tries > lockedTries {
			return cancelled, fmt.Errorf("subscription %s was not deleted: other sessions hold deliveries outstanding; %d were cancelled, try again", quote(c.Name), cancelled)
		}
		select {
		case <-ctx.Done():
			return cancelled, ctx.Err()
		case <-time.After(lockedWait):
		}
	}
}
