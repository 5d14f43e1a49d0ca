package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"relay/operate"
	"relay/sql"
)

// KeysListCmd is `relay keys list`.
type KeysListCmd struct {
	Subscription string
	Limit        int
	After        string
	JSON         bool
}

func (c *KeysListCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the keys that wait, and the message at the head of each.", Args: exactly(),
		Example: "  relay keys list --subscription billing",
	}
	cmd.Flags().StringVar(&c.Subscription, "subscription", "", "Of the subscriber `NAME` alone; direct and default are two.")
	cmd.Flags().IntVar(&c.Limit, "limit", 100, "Keys to list, at most.")
	cmd.Flags().StringVar(&c.After, "after", "", "Go on after this `PLACE`, which the page before has named.")
	jsonFlag(cmd, &c.JSON, "Print a line of JSON for each key.")
	completeSubscriptions(cmd, "subscription")
	return cmd
}

// Validate judges the limit.
func (c *KeysListCmd) Validate() error { return checkLimit(c.Limit, operate.KeyLimit) }

// Run lists keys by subscription and key.
func (c *KeysListCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	page, err := service.Keys(ctx, c.Subscription, operate.At{Cursor: c.After, Limit: c.Limit})
	if err != nil {
		return err
	}
	if err := printList(app.Stdout, c.JSON, page.Items, keyTable); err != nil {
		return err
	}
	if page.Next == "" && !page.Complete {
		fmt.Fprintln(app.Stderr, "there are more: --limit or --subscription")
	}
	hintMore(app, page.Next)
	return nil
}

// keyTable prints keys in columns.
func keyTable(list []operate.Key, now time.Time, width int) string {
	if len(list) == 0 {
		return "no keys wait\n"
	}
	rows := [][]string{{"SUBSCRIPTION", "KEY", "HEAD", "STATUS", "SINCE", "WAITING", "WHY"}}
	for _, k := range list {
		status := string(k.Status)
		if k.Reason != "" {
			status += " (" + string(k.Reason) + ")"
		}
		rows = append(rows, []string{k.Subscription, k.Key, k.MessageID, status, shortAge(now.Sub(k.Since)), upTo(k.Waiting), causeFirst(k.LastError)})
	}
	width = max(width, 2*tableWidth)
	return columns(rows, []int{16, 20, 36, 22, 6, 7, width}, width)
}

// head says which head is meant.
type head struct {
	because
	Key          string
	Subscription string
	JSON         bool
}

func (h *head) on(use, short string) *cobra.Command {
	cmd := &cobra.Command{Use: use + " KEY", Short: short, Args: exactly(&h.Key), Example: "  relay keys " + use + " order-17 --subscription billing"}
	cmd.Flags().StringVar(&h.Subscription, "subscription", "", "Subscriber `NAME` at which the key waits; it is needed.")
	h.because.flags(cmd)
	jsonFlag(cmd, &h.JSON, "Print a line of JSON for each instance of the subscriber.")
	completeSubscriptions(cmd, "subscription")
	return cmd
}

// Validate asks for the subscriber.
func (h *head) Validate() error {
	if h.Subscription == "" {
		return errors.New("--subscription is missing: the subscriber at which the key waits")
	}
	return nil
}

// KeysSkipCmd is `relay keys skip KEY --subscription NAME`.
type KeysSkipCmd struct{ head }

func (c *KeysSkipCmd) command() *cobra.Command {
	return c.on("skip", "Cancel the dead message that blocks a key at one subscriber, so that the key goes on.")
}

// Run cancels the dead head of a key whose subscription blocks.
func (c *KeysSkipCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	results, err := service.SkipKey(ctx, c.actor(), c.Subscription, c.Key)
	return c.print(app, results, err)
}

// KeysRetryCmd is `relay keys retry KEY --subscription NAME`.
type KeysRetryCmd struct{ head }

func (c *KeysRetryCmd) command() *cobra.Command {
	return c.on("retry", "Send the message at the head of a key again at once, to one subscriber.")
}

// Run sends the head of a key again: a dead one with all of its attempts and all of its
// time, any other at once.
func (c *KeysRetryCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	results, err := service.RetryKey(ctx, c.actor(), c.Subscription, c.Key)
	return c.print(app, results, err)
}

// print prints what became of the heads of a key, one for each instance at which it waits, and fails unless all
// became what the person wants.
func (h *head) print(app *App, results []operate.HeadResult, err error) error {
	failed := err
	for _, r := range results {
		if h.JSON {
			err = printJSON(app.Stdout, r)
		} else {
			_, err = fmt.Fprintf(app.Stdout, "%s  %s\n", r.MessageID, r.Result)
		}
		failed = errors.Join(failed, err, h.failure(r))
	}
	return failed
}

// failure says what to do where a head is not what the person wants. What it advises changes nothing for other
// subscribers.
func (h *head) failure(r operate.HeadResult) error {
	switch r.Result {
	case sql.EffectGoesOn:
		return fmt.Errorf("message %s at the head of key %s is not dead: it is tried again by itself; to give it up for this subscriber alone: relay messages cancel %s --subscription %s",
			r.MessageID, quote(h.Key), r.MessageID, shellWord(h.Subscription))
	case sql.EffectSetBack:
		return fmt.Errorf("message %s at the head of key %s is pending: it goes by itself", r.MessageID, quote(h.Key))
	case sql.EffectLocked:
		return fmt.Errorf("message %s at the head of key %s is locked by another session: try again", r.MessageID, quote(h.Key))
	}
	return nil
}
