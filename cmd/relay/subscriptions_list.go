package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"relay"
	"relay/sql"
)

// SubscriptionsListCmd is `relay subscriptions list`.
type SubscriptionsListCmd struct {
	JSON bool `name:"json" help:"Print a line of JSON for each subscription."`
}

// Run lists the subscriptions by name.
func (c SubscriptionsListCmd) Run(ctx context.Context, app *App) error {
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	list, err := store.ListSubscriptions(ctx)
	if err != nil {
		return err
	}
	if !c.JSON {
		_, err := io.WriteString(app.Stdout, subscriptionTable(list, time.Now()))
		return err
	}
	for _, s := range list {
		if err := printJSON(app.Stdout, newListedSubscription(s)); err != nil {
			return err
		}
	}
	return nil
}

// listedSubscription is one subscription as a list prints it. Secrets are counted, and of
// headers there are the names.
type listedSubscription struct {
	Name  string `json:"name"`
	State string `json:"state"`           // active, paused or invalid
	Error string `json:"error,omitempty"` // why it is invalid
	// Outstanding counts by status what has not ended, CountLimit altogether at the most.
	Outstanding map[string]int `json:"outstanding"`
	CountLimit  int            `json:"count_limit"`
	Oldest      *time.Time     `json:"oldest,omitempty"` // when the oldest of these was or is due
	Dead        int            `json:"dead"`

	Topics            []string  `json:"topics"`
	Target            string    `json:"target"` // as relay.ShownTarget has it
	Ordered           bool      `json:"ordered"`
	Broadcast         bool      `json:"broadcast"`
	Ack               string    `json:"ack"`
	AckTimeout        string    `json:"ack_timeout"`
	Timeout           string    `json:"timeout,omitempty"`
	Concurrency       *int      `json:"concurrency,omitempty"`
	RateLimit         *float64  `json:"rate_limit,omitempty"`
	MaxAttempts       *int      `json:"max_attempts,omitempty"`
	MaxHandleAttempts *int      `json:"max_handle_attempts,omitempty"`
	Backoff           []string  `json:"backoff,omitempty"`
	OnDead            string    `json:"on_dead"`
	Secrets           int       `json:"secrets"`
	Headers           []string  `json:"headers"`
	CreatedAt         time.Time `json:"created_at"`
}

func newListedSubscription(f sql.SubscriptionFacts) listedSubscription {
	s := listedSubscription{
		Name: f.Name, State: "active", Outstanding: map[string]int{}, CountLimit: sql.CountLimit, Oldest: f.Oldest, Dead: f.Dead,
		Topics: f.Topics, Target: relay.ShownTarget(f.Target), Ordered: f.Ordered, Broadcast: f.Broadcast, Ack: f.Ack, AckTimeout: f.AckTimeout.String(),
		Concurrency: f.Concurrency, RateLimit: f.RateLimit, MaxAttempts: f.MaxAttempts, MaxHandleAttempts: f.MaxHandleAttempts,
		OnDead: f.OnDead, Secrets: f.Secrets, Headers: f.Headers, CreatedAt: f.CreatedAt.UTC(),
	}
	for _, c := range f.Outstanding {
		s.Outstanding[c.Status] = c.Count
	}
	if f.Timeout != nil {
		s.Timeout = f.Timeout.String()
	}
	for _, interval := range f.Backoff {
		s.Backoff = append(s.Backoff, interval.String())
	}
	_, err := relay.ParseSubscriptionTarget(f.Target)
	switch {
	case err != nil:
		s.State, s.Error = "invalid", err.Error()
	case f.Paused:
		s.State = "paused"
	}
	return s
}

// subscriptionTable prints subscriptions in columns.
func subscriptionTable(list []sql.SubscriptionFacts, now time.Time) string {
	if len(list) == 0 {
		return "no subscriptions\n"
	}
	rows := [][]string{{"NAME", "STATE", "OUTSTANDING", "OLDEST", "DEAD", "TOPICS", "TARGET"}}
	for _, f := range list {
		s := newListedSubscription(f)
		oldest := ""
		if f.Oldest != nil {
			oldest = shortAge(now.Sub(*f.Oldest))
		}
		rows = append(rows, []string{s.Name, s.State, backlogText(f.Outstanding), oldest, upTo(s.Dead), strings.Join(s.Topics, ","), s.Target})
	}
	return columns(rows, []int{20, 7, 34, 6, 7, 24, 40}, 2*tableWidth)
}

// backlogText is what is outstanding, and of which status.
func backlogText(counts []sql.StatusCount) string {
	total, parts := 0, make([]string, len(counts))
	for i, c := range counts {
		total += c.Count
		parts[i] = fmt.Sprintf("%s %d", c.Status, c.Count)
	}
	if total == 0 {
		return "0"
	}
	return upTo(total) + ": " + strings.Join(parts, ", ")
}

// upTo is a count that stops at the limit.
func upTo(n int) string {
	if n >= sql.CountLimit {
		return fmt.Sprintf("%d+", n)
	}
	return fmt.Sprint(n)
}
