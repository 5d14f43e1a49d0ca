package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"relay"
	"relay/operate"
)

// MessagesShowCmd is `relay messages show ID`.
type MessagesShowCmd struct {
	ID      string
	Payload bool
	JSON    bool
}

func (c *MessagesShowCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one message with its deliveries and attempts.", Args: exactly(&c.ID),
		Example: "  relay messages show " + exampleMessage + " --payload",
	}
	cmd.Flags().BoolVar(&c.Payload, "payload", false, "Show the payload too, at most its first 64 KiB; what is no text, in hexadecimal.")
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// Run shows one message.
func (c *MessagesShowCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	m, err := service.Message(ctx, c.ID, c.Payload)
	if err != nil {
		return err
	}
	return printAs(app.Stdout, c.JSON, m, messageText(m, time.Now()))
}

// messageText is a message for a terminal: a line for each thing that there is to say.
func messageText(m operate.MessageDetail, now time.Time) string {
	var b strings.Builder
	line := func(name, format string, values ...any) {
		fmt.Fprintf(&b, "%-12s  %s\n", name, visible(fmt.Sprintf(format, values...)))
	}
	optional := func(name, value string) {
		if value != "" {
			line(name, "%s", value)
		}
	}
	line("id", "%s", m.ID)
	line("status", "%s%s", m.Status, clause(m.FinishedAt, ", ended "))
	optional("error", m.LastError)
	line("topic", "%s", m.Topic)
	optional("key", m.Key)
	optional("source", m.Source)
	optional("destination", withReason(m.Destination, m.DestinationHidden))
	line("created", "%s, number %s, shard %d", clock(m.CreatedAt), m.Seq, m.Shard)
	optional("deliver at", clause(m.DeliverAt, "")+dueIn(m.DeliverAt, now))
	line("content", "%s, %s", m.ContentType, plural(m.SizeBytes, "byte"))
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		line("header", "%s: %s", name, m.Headers[name])
	}
	if m.HeadersTooLarge {
		line("headers", "too large to be shown")
	}
	for _, d := range m.Deliveries {
		line("delivery", "%s", deliveryText(d))
	}
	for _, a := range m.Attempts {
		line(fmt.Sprintf("attempt %d", a.Attempt), "%s", attemptText(a))
		if a.Response != nil {
			line("  answer", "%s", cut(contentText(*a.Response), 200))
		}
	}
	if m.Payload != nil {
		fmt.Fprintf(&b, "payload:\n%s\n", contentText(*m.Payload))
	}
	return b.String()
}

// withReason is a target and why not all of it is shown.
func withReason(target, why string) string {
	if why == "" {
		return target
	}
	return target + " (shortened: " + why + ")"
}

// dueIn says how long it is until a time that lies ahead.
func dueIn(at *time.Time, now time.Time) string {
	if at == nil || !at.After(now) {
		return ""
	}
	return ", due in " + shortAge(at.Sub(now))
}

// deliveryText says how a delivery stands.
func deliveryText(d operate.Delivery) string {
	text := fmt.Sprintf("%s, %s: %s", atInstance(d.Subscription, d.Instance), d.Target, d.Status)
	if d.Reason != "" {
		text += " (" + string(d.Reason) + ")"
	}
	text += fmt.Sprintf(", attempts: %d", d.Attempts)
	if d.LastError != "" {
		text += ", " + causeFirst(d.LastError)
	}
	text += clause(d.NextAttemptAt, ", next attempt ") + clause(d.DeliveredAt, ", accepted ")
	if d.TargetHidden != "" {
		text += "; the target is shortened: " + d.TargetHidden
	}
	return text
}

// attemptText says how an attempt went.
func attemptText(a operate.Attempt) string {
	text := fmt.Sprintf("%s, %s: %s after %.1f ms", clock(a.StartedAt), atInstance(a.Subscription, a.Instance), a.Outcome, a.DurationMS)
	if a.ResponseCode != 0 {
		text += fmt.Sprintf(", code %d", a.ResponseCode)
	}
	if a.Error != "" {
		text += ", " + causeFirst(a.Error)
	}
	return text
}

// contentText is the beginning of a payload or an answer for a terminal.
func contentText(c operate.Content) string {
	text := c.Hex
	if text == "" {
		text = strings.Map(func(r rune) rune {
			if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
				return '·'
			}
			return r
		}, c.Text)
	}
	if c.More > 0 {
		text += "… and " + plural(c.More, "more byte")
	}
	return text
}

// clause is a time after some words, or nothing if there is no time.
func clause(at *time.Time, words string) string {
	if at == nil {
		return ""
	}
	return words + clock(*at)
}

// clock prints a time for people.
func clock(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05.000Z") }

// atInstance names a subscription with the instance of a broadcast. Of a row's own destination
// the instance is the target, which stands there anyway.
func atInstance(subscription, instance string) string {
	if instance == relay.PlainInstance || subscription == relay.SubscriptionDirect {
		return subscription
	}
	return subscription + " at " + instance
}
