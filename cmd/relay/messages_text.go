package main

import (
	"fmt"
	"strings"
	"time"

	"relay"
)

// text is a message for a terminal: a line for each thing that there is to say.
func (s shown) text() string {
	var b strings.Builder
	line := func(name, format string, values ...any) {
		fmt.Fprintf(&b, "%-12s  %s\n", name, visible(fmt.Sprintf(format, values...)))
	}
	optional := func(name, value string) {
		if value != "" {
			line(name, "%s", value)
		}
	}
	line("id", "%s", s.ID)
	line("status", "%s%s", s.Status, clause(s.FinishedAt, ", ended "))
	optional("error", s.Error)
	line("topic", "%s", s.Topic)
	optional("key", s.Key)
	optional("source", s.Source)
	optional("destination", s.Destination)
	line("created", "%s, number %d, shard %d", clock(s.CreatedAt), s.Seq, s.Shard)
	optional("deliver at", clause(s.DeliverAt, ""))
	line("content", "%s, %d bytes", s.ContentType, s.Size)
	optional("headers", strings.TrimPrefix(string(s.Headers), "{}"))
	for _, d := range s.Deliveries {
		line("delivery", "%s", d.sentence())
	}
	for _, a := range s.Attempts {
		line(fmt.Sprintf("attempt %d", a.Attempt), "%s", a.sentence())
		if a.Response != nil {
			line("  answer", "%s", cut(a.Response.text(), 200))
		}
	}
	if s.Payload != nil {
		fmt.Fprintf(&b, "payload:\n%s\n", s.Payload.text())
	}
	return b.String()
}

// sentence says how a delivery stands.
func (d shownDelivery) sentence() string {
	text := fmt.Sprintf("%s, %s: %s", atInstance(d.Subscription, d.Instance), d.Target, d.Status)
	if d.Reason != "" {
		text += " (" + d.Reason + ")"
	}
	text += fmt.Sprintf(", attempts: %d", d.Attempts)
	if d.Error != "" {
		text += ", " + d.Error
	}
	text += clause(d.NextAttemptAt, ", next attempt ")
	return text + clause(d.DeliveredAt, ", accepted ")
}

// sentence says how an attempt went.
func (a shownAttempt) sentence() string {
	text := fmt.Sprintf("%s, %s: %s after %.1f ms", clock(a.StartedAt), atInstance(a.Subscription, a.Instance), a.Outcome, a.DurationMS)
	if a.Code != 0 {
		text += fmt.Sprintf(", code %d", a.Code)
	}
	if a.Error != "" {
		text += ", " + a.Error
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
