package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"relay"
	"relay/operate"
)

// selection is the filter by which messages are chosen.
type selection struct{ operate.Filter }

func (s *selection) flags(cmd *cobra.Command) {
	wordsFlag(cmd, &s.Status, "status", "`STATUS` of the message: pending, open, done, dead, rejected or cancelled; several with commas.",
		relay.MessagePending, relay.MessageOpen, relay.MessageDone, relay.MessageDead, relay.MessageRejected, relay.MessageCancelled)
	f := cmd.Flags()
	f.StringVar(&s.Topic, "topic", "", "Topic, or a `PATTERN`: * is one word, # any number of words.")
	f.StringVar(&s.Key, "key", "", "Ordering `KEY`.")
	f.StringVar(&s.Source, "source", "", "Sending `SERVICE`, as the row names it.")
	f.StringVar(&s.Subscription, "subscription", "", "Subscriber `NAME`; direct and default are two. With --status dead or open: the one where it is dead or open.")
	wordsFlag(cmd, &s.DeliveryStatus, "delivery-status", "`STATUS` of a delivery, with --subscription of the one to it; several with commas.",
		relay.DeliveryWaiting, relay.DeliveryPushFailed, relay.DeliveryHandleFailed, relay.DeliveryAwaitingAck,
		relay.DeliveryDelivered, relay.DeliveryHandled, relay.DeliveryDead, relay.DeliveryCancelled)
	f.Var((*causes)(&s.Causes), "cause", "`CAUSE` of the last failure, as timeout or 'http 500'; several with commas.")
	completeWords(cmd, "cause", relay.Causes())
	f.StringVar(&s.Error, "error", "", "A part `TEXT` of the last error, in either case.")
	f.StringVar(&s.Text, "text", "", "A part `TEXT` of the payload or of the last error, in either case.")
	textFlag(cmd, &s.Since, "since", "Inserted at or after this `TIME`, as 2026-01-31T12:00:00Z, or so long ago, as 2h or 7d.")
	textFlag(cmd, &s.Until, "until", "Inserted before this `TIME`, written likewise.")
	textFlag(cmd, &s.UpdatedSince, "updated-since", "Ended, or a delivery changed, at or after this `TIME`.")
	textFlag(cmd, &s.UpdatedUntil, "updated-until", "Ended, or a delivery changed, before this `TIME`.")
	completeSubscriptions(cmd, "subscription")
}

// causes are causes of failures, separated by commas or repeated.
type causes []relay.Cause

// Set implements pflag.Value.
func (c *causes) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		cause := relay.Cause(strings.TrimSpace(part))
		if !cause.Known() {
			return fmt.Errorf("allowed is %s, http or amqp and a code", listed(relay.Causes()))
		}
		*c = append(*c, cause)
	}
	return nil
}

// String implements pflag.Value.
func (c *causes) String() string { return "" }

// Type implements pflag.Value.
func (c *causes) Type() string { return "cause" }

// Validate judges the filter.
func (s selection) Validate() error { return inOptions(s.Filter.Validate()) }

// MessagesCopyCmd is `relay messages copy ID`.
type MessagesCopyCmd struct {
	because
	ID          string
	Destination string
	JSON        bool
}

func (c *MessagesCopyCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "copy ID", Short: "Insert a message of the same content under a new id.", Args: exactly(&c.ID),
		Example: "  relay messages copy " + exampleMessage + " --destination https://test.example/hook",
	}
	cmd.Flags().StringVar(&c.Destination, "destination", "", "`TARGET` of the copy. Unset: as the message has it.")
	c.because.flags(cmd)
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// Run copies a message and prints the new id.
func (c *MessagesCopyCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	copied, err := service.Copy(ctx, c.actor(), c.ID, c.Destination)
	if err != nil {
		return err
	}
	return printAs(app.Stdout, c.JSON, copied, copied.ID+"\n")
}

// MessagesListCmd is `relay messages list`.
type MessagesListCmd struct {
	selection
	Limit int
	After string
	JSON  bool
}

func (c *MessagesListCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List messages, the youngest first.", Args: exactly(),
		Example: "  relay messages list --status dead,rejected --since 2h\n  relay messages list --key order-17 --json",
	}
	c.selection.flags(cmd)
	cmd.Flags().StringSliceVar(&c.IDs, "id", nil, "`ID` of a message; several with commas.")
	cmd.Flags().IntVar(&c.Limit, "limit", 50, "Messages to list, at most.")
	cmd.Flags().StringVar(&c.After, "after", "", "Go on after this `PLACE`, which the page before has named.")
	jsonFlag(cmd, &c.JSON, "Print a line of JSON for each message.")
	return cmd
}

// Validate judges the limit and the filter.
func (c *MessagesListCmd) Validate() error {
	if c.Limit < 1 || c.Limit > operate.MessageLimit {
		return fmt.Errorf("--limit: allowed is 1 to %d", operate.MessageLimit)
	}
	return c.selection.Validate()
}

// searchLimit bounds a whole search. It looks at some hundred thousand messages a second.
const searchLimit = 20 * time.Second

// Run lists messages. Where there may be more, the last line on standard error says how to go on.
func (c *MessagesListCmd) Run(ctx context.Context, app *App) (err error) {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	page, err := service.Messages(ctx, c.Filter, operate.At{Cursor: c.After, Limit: c.Limit}, searchLimit)
	if err != nil {
		return err
	}
	if err := c.print(app.Stdout, page.Items); err != nil {
		return err
	}
	switch {
	case page.Next != "" && len(page.Items) < c.Limit:
		fmt.Fprintf(app.Stderr, "looked for %s, and not at all messages; go on: --after %s\n", searchLimit, page.Next)
	case page.Next != "":
		fmt.Fprintf(app.Stderr, "there may be more: --after %s\n", page.Next)
	}
	return nil
}

func (c *MessagesListCmd) print(w io.Writer, messages []operate.Message) error {
	if !c.JSON {
		_, err := io.WriteString(w, messageTable(messages, time.Now(), terminalWidth(w, tableWidth)))
		return err
	}
	for _, m := range messages {
		if err := printJSON(w, m); err != nil {
			return err
		}
	}
	return nil
}
