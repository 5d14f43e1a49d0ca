package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"relay"
	"relay/sql"
)

// KeysCmd is `relay keys …`: what a person does with keys that wait.
type KeysCmd struct {
	List  KeysListCmd  `cmd:"" help:"List the keys that wait, and the message at the head of each."`
	Skip  KeysSkipCmd  `cmd:"" help:"Cancel the dead message that blocks a key, so that the key goes on."`
	Retry KeysRetryCmd `cmd:"" help:"Send the message at the head of a key again at once."`
}

// KeysListCmd is `relay keys list`.
type KeysListCmd struct {
	Subscription string `name:"subscription" help:"Of this subscriber alone; direct and default are two."`
	Limit        int    `name:"limit" default:"100" help:"Keys to list, at most."`
	JSON         bool   `name:"json" help:"Print a line of JSON for each key."`
}

// Validate judges the limit. It is called by kong.
func (c KeysListCmd) Validate() error {
	if c.Limit < 1 || c.Limit > sql.CountLimit {
		return fmt.Errorf("--limit: allowed is 1 to %d", sql.CountLimit)
	}
	return nil
}

// Run lists keys by subscription and key.
func (c KeysListCmd) Run(ctx context.Context, app *App) error {
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	page, err := store.HeldKeys(ctx, c.Subscription, "", c.Limit)
	if err != nil {
		return err
	}
	if err := c.print(app.Stdout, page.Keys); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Fprintln(app.Stderr, "there are more: --limit or --subscription")
	}
	return nil
}

func (c KeysListCmd) print(w io.Writer, list []sql.HeldKey) error {
	if !c.JSON {
		_, err := io.WriteString(w, keyTable(list, time.Now()))
		return err
	}
	for _, k := range list {
		if err := printJSON(w, newListedKey(k)); err != nil {
			return err
		}
	}
	return nil
}

// listedKey is one key as a list prints it.
type listedKey struct {
	Subscription string               `json:"subscription"`
	Instance     string               `json:"instance,omitempty"` // as relay.ShownTarget has it
	Key          string               `json:"key"`
	Message      string               `json:"message_id"` // at the head
	Status       relay.DeliveryStatus `json:"status"`
	Reason       string               `json:"reason,omitempty"`
	Since        time.Time            `json:"since"` // the head died, or was due first
	NextAttempt  *time.Time           `json:"next_attempt_at,omitempty"`
	Error        string               `json:"error,omitempty"`
	Waiting      int                  `json:"waiting"` // behind the head, up to the limit
	Limit        int                  `json:"waiting_limit"`
}

func newListedKey(k sql.HeldKey) listedKey {
	return listedKey{
		Subscription: k.Subscription, Instance: relay.ShownTarget(k.Instance), Key: k.Key, Message: k.Message.String(), Status: k.Status, Reason: k.Reason,
		Since: k.Since.UTC(), NextAttempt: k.NextAttempt, Error: k.Error, Waiting: k.Waiting, Limit: sql.KeyWaitLimit,
	}
}

// keyTable prints keys in columns.
func keyTable(list []sql.HeldKey, now time.Time) string {
	if len(list) == 0 {
		return "no keys wait\n"
	}
	rows := [][]string{{"SUBSCRIPTION", "KEY", "HEAD", "STATUS", "SINCE", "WAITING", "ERROR"}}
	for _, k := range list {
		status := string(k.Status)
		if k.Reason != "" {
			status += " (" + k.Reason + ")"
		}
		waiting := fmt.Sprint(k.Waiting)
		if k.Waiting == sql.KeyWaitLimit {
			waiting += "+"
		}
		rows = append(rows, []string{k.Subscription, k.Key, k.Message.String(), status, shortAge(now.Sub(k.Since)), waiting, k.Error})
	}
	return columns(rows, []int{16, 20, 36, 22, 6, 7, tableWidth}, 2*tableWidth)
}

// head says which head is meant.
type head struct {
	Key          string `arg:"" help:"Ordering key."`
	Subscription string `name:"subscription" required:"" help:"Subscriber at which the key waits."`
	JSON         bool   `name:"json" help:"Print a line of JSON for each instance of the subscriber."`
}

// KeysSkipCmd is `relay keys skip KEY --subscription NAME`.
type KeysSkipCmd struct{ head }

// Run cancels the dead head of a key whose subscription blocks.
func (c KeysSkipCmd) Run(ctx context.Context, app *App) error {
	return c.change(ctx, app, (*sql.Store).SkipHeads)
}

// KeysRetryCmd is `relay keys retry KEY --subscription NAME`.
type KeysRetryCmd struct{ head }

// Run sends the head of a key again: a dead one with all of its attempts and all of its
// time, any other at once.
func (c KeysRetryCmd) Run(ctx context.Context, app *App) error {
	return c.change(ctx, app, (*sql.Store).RetryHeads)
}

type changeHeads func(s *sql.Store, ctx context.Context, subscription, key string) ([]sql.HeadChange, error)

// change changes the heads of a key, one for each instance at which it waits, prints what
// became of them, and fails unless all became what the person wants.
func (h head) change(ctx context.Context, app *App, change changeHeads) error {
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	changes, err := h.insist(ctx, store, change)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return fmt.Errorf("key %s does not wait at %s: relay keys list shows those that do", quote(h.Key), quote(h.Subscription))
	}
	var failed error
	for _, c := range changes {
		if h.JSON {
			err = printJSON(app.Stdout, changedHead{ID: c.Message.String(), Instance: relay.ShownTarget(c.Instance), Result: c.Effect})
		} else {
			_, err = fmt.Fprintf(app.Stdout, "%s  %s\n", c.Message, c.Effect)
		}
		failed = errors.Join(failed, err, h.failure(c))
	}
	return failed
}

// changedHead is what became of one head.
type changedHead struct {
	ID       string     `json:"message_id"`
	Instance string     `json:"instance,omitempty"`
	Result   sql.Effect `json:"result"`
}

// insist changes the heads, and tries again for a while where another session holds the row
// of each. Where one was changed it is not tried again: behind it there may be another head.
func (h head) insist(ctx context.Context, store *sql.Store, change changeHeads) ([]sql.HeadChange, error) {
	for try := 0; ; try++ {
		changes, err := change(store, ctx, h.Subscription, h.Key)
		free := slices.ContainsFunc(changes, func(c sql.HeadChange) bool { return c.Effect != sql.EffectLocked })
		if err != nil || len(changes) == 0 || free || try == lockedTries {
			return changes, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockedWait):
		}
	}
}

// failure says what to do where a head is not what the person wants.
func (h head) failure(c sql.HeadChange) error {
	switch c.Effect {
	case sql.EffectGoesOn:
		return fmt.Errorf("message %s at the head of key %s is not dead: it is tried again by itself; to give it up: relay messages cancel %s", c.Message, quote(h.Key), c.Message)
	case sql.EffectSetBack:
		return fmt.Errorf("message %s at the head of key %s is pending: it goes by itself", c.Message, quote(h.Key))
	case sql.EffectLocked:
		return fmt.Errorf("message %s at the head of key %s is locked by another session: try again", c.Message, quote(h.Key))
	}
	return nil
}
