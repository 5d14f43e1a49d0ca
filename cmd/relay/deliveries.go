package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"relay"
	"relay/operate"
)

const exampleMessage = "01890000-0000-7000-8000-000000000001"

// DeliveriesListCmd is `relay deliveries list --subscription NAME`.
type DeliveriesListCmd struct {
	operate.DeliveryFilter
	Limit int
	After string
	JSON  bool
}

func (c *DeliveriesListCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the deliveries of one subscriber, the youngest message first.", Args: exactly(),
		Example: "  relay deliveries list --subscription billing --status push_failed,dead",
	}
	f := cmd.Flags()
	f.StringVar(&c.Subscription, "subscription", "", "Subscriber `NAME`; direct and default are two. It is needed.")
	wordsFlag(cmd, &c.Status, "status", "`STATUS` of the delivery; several with commas.",
		relay.DeliveryWaiting, relay.DeliveryPushFailed, relay.DeliveryHandleFailed, relay.DeliveryAwaitingAck,
		relay.DeliveryDelivered, relay.DeliveryHandled, relay.DeliveryDead, relay.DeliveryCancelled)
	f.Var((*causes)(&c.Causes), "cause", "`CAUSE` of the last failure, as timeout or 'http 500'; several with commas.")
	completeWords(cmd, "cause", relay.Causes())
	f.StringVar((*string)(&c.Reason), "reason", "", "`REASON` for which it waits, as paused or circuit_open.")
	wordFlag(cmd, (*string)(&c.Stage), "stage", "", "`STAGE` as the receiver sees it: committed, push_failed, handle_failed, delivered, handled or cancelled.",
		"committed", "push_failed", "handle_failed", "delivered", "handled", "cancelled")
	f.StringVar(&c.Topic, "topic", "", "Topic, or a `PATTERN`: * is one word, # any number of words.")
	f.StringVar(&c.Key, "key", "", "Ordering `KEY`.")
	f.IntVar(&c.Code, "response-code", 0, "`CODE` of the last answer.")
	textFlag(cmd, &c.Since, "since", "Inserted at or after this `TIME`, as 2026-01-31T12:00:00Z, or so long ago, as 2h or 7d.")
	textFlag(cmd, &c.Until, "until", "Inserted before this `TIME`, written likewise.")
	f.IntVar(&c.Limit, "limit", 50, "Deliveries to list, at most.")
	f.StringVar(&c.After, "after", "", "Go on after this `PLACE`, which the page before has named.")
	jsonFlag(cmd, &c.JSON, "Print a line of JSON for each delivery.")
	completeSubscriptions(cmd, "subscription")
	return cmd
}

// Validate asks for the subscriber and judges the limit.
func (c *DeliveriesListCmd) Validate() error {
	if c.Subscription == "" {
		return errors.New("--subscription is missing: the subscriber to which the deliveries went")
	}
	return checkLimit(c.Limit, operate.MessageLimit)
}

// Run lists deliveries.
func (c *DeliveriesListCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	page, err := service.Deliveries(ctx, c.DeliveryFilter, operate.At{Cursor: c.After, Limit: c.Limit})
	if err != nil {
		return err
	}
	if err := printList(app.Stdout, c.JSON, page.Items, deliveryTable); err != nil {
		return err
	}
	hintMore(app, page.Next)
	return nil
}

// deliveryTable prints deliveries in columns.
func deliveryTable(list []operate.ListedDelivery, now time.Time, width int) string {
	if len(list) == 0 {
		return "no deliveries\n"
	}
	rows := [][]string{{"MESSAGE", "AGE", "STATUS", "TOPIC", "TRIES", "WHY"}}
	for _, d := range list {
		status := string(d.Status)
		if d.Reason != "" {
			status += " (" + string(d.Reason) + ")"
		}
		rows = append(rows, []string{d.MessageID, shortAge(now.Sub(d.CreatedAt)), status, d.Topic, strconv.Itoa(d.Attempts), causeFirst(d.LastError)})
	}
	return columns(rows, []int{36, 6, 24, 24, 5, width}, max(width, tableWidth))
}

// DeliveriesAcknowledgeCmd is `relay deliveries acknowledge ID... --subscription NAME`.
type DeliveriesAcknowledgeCmd struct {
	because
	IDs          []string
	Subscription string
	JSON         bool
}

func (c *DeliveriesAcknowledgeCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "acknowledge ID...", Short: "Note that a subscriber has handled messages that it once accepted, as if it had said so.",
		Args: arguments(1, nil, &c.IDs), Example: "  relay deliveries acknowledge " + exampleMessage + " --subscription billing --reason 'booked by hand'",
	}
	cmd.Flags().StringVar(&c.Subscription, "subscription", "", "Subscriber `NAME` that has handled them; it is needed.")
	c.because.flags(cmd)
	jsonFlag(cmd, &c.JSON, "Print a line of JSON for each message.")
	completeSubscriptions(cmd, "subscription")
	return cmd
}

// Validate asks for the subscriber.
func (c *DeliveriesAcknowledgeCmd) Validate() error {
	if c.Subscription == "" {
		return errors.New("--subscription is missing: the subscriber that has handled the messages")
	}
	return nil
}

// Run acknowledges messages, and fails unless all are handled then.
func (c *DeliveriesAcknowledgeCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	all, done := 0, 0
	err = service.Acknowledge(ctx, c.actor(), operate.Change{IDs: c.IDs, Subscription: c.Subscription}, func(results []operate.Result) error {
		for _, r := range results {
			all++
			if r.OK {
				done++
			}
			if err := printResult(app.Stdout, c.JSON, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && done < all {
		err = fmt.Errorf("acknowledge: %d of %s failed", all-done, plural(int64(all), "message"))
	}
	return err
}
