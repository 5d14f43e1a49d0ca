package operate

import (
	"context"
	"time"

	"relay"
	"relay/sql"
)

// SubscriptionState says whether messages are sent to a subscription.
type SubscriptionState string

// These are the states.
const (
	SubscriptionActive  SubscriptionState = "active"
	SubscriptionPaused  SubscriptionState = "paused"
	SubscriptionInvalid SubscriptionState = "invalid" // its settings cannot be used; Error says why
)

// Subscription says which target receives which topics, and how. Secrets are counted, and of headers there are the
// names. What is not set has the variable's value, or no limit.
type Subscription struct {
	Name              string            `json:"name"`
	State             SubscriptionState `json:"state"`
	Error             string            `json:"error,omitempty"` // why it is invalid
	Outstanding       Backlog           `json:"outstanding"`
	Dead              Count             `json:"dead"`
	Topics            []string          `json:"topics"`
	Target            string            `json:"target"` // as relay.ShownTarget has it
	TargetHidden      string            `json:"target_hidden,omitempty"`
	Paused            bool              `json:"paused"`
	Ordered           bool              `json:"ordered"`
	Broadcast         bool              `json:"broadcast"`
	Ack               string            `json:"ack"`
	AckTimeoutSeconds float64           `json:"ack_timeout_seconds"`
	TimeoutSeconds    *float64          `json:"timeout_seconds,omitempty"`
	Concurrency       *int              `json:"concurrency,omitempty"`
	RateLimit         *float64          `json:"rate_limit,omitempty"` // per second
	MaxAttempts       *int              `json:"max_attempts,omitempty"`
	MaxHandleAttempts *int              `json:"max_handle_attempts,omitempty"`
	BackoffSeconds    []float64         `json:"backoff_seconds"` // the last repeats; none: the variable's
	OnDead            string            `json:"on_dead"`
	Secrets           int               `json:"secrets"` // how many
	Headers           []string          `json:"headers"` // their names
	CreatedAt         time.Time         `json:"created_at"`
	Version           string            `json:"version"` // of the settings, for a change that must not overwrite another one
}

// Backlog counts the deliveries of a subscription that have not ended, by status.
type Backlog struct {
	Count
	ByStatus map[string]int `json:"by_status"`
	// OldestAt is when the oldest of them was or is due. Nil means that there is none.
	OldestAt *time.Time `json:"oldest_at,omitempty"`
}

// Subscriptions lists the subscriptions by name, with what is outstanding and dead.
func (s *Service) Subscriptions(ctx context.Context) (Page[Subscription], error) {
	list, err := s.store.ListSubscriptions(ctx)
	if err != nil {
		return Page[Subscription]{}, err
	}
	var items []Subscription
	for _, f := range list {
		items = append(items, newSubscription(f))
	}
	return newPage(items, ""), nil
}

// Subscription reads one subscription.
func (s *Service) Subscription(ctx context.Context, name string) (Subscription, error) {
	list, err := s.store.ListSubscriptions(ctx)
	if err != nil {
		return Subscription{}, err
	}
	for _, f := range list {
		if f.Name == name {
			return newSubscription(f), nil
		}
	}
	return Subscription{}, noSubscription(sql.ErrNoSubscription, name)
}

// settings reads the settings of one subscription.
func (s *Service) settings(ctx context.Context, name string) (Subscription, error) {
	if name == "" {
		return Subscription{}, noSubscription(sql.ErrNoSubscription, name)
	}
	list, err := s.SettingsOf(ctx, name)
	if err != nil {
		return Subscription{}, err
	}
	return list[0], nil
}

func newSubscription(f sql.SubscriptionFacts) Subscription {
	s := Subscription{
		Name: f.Name, State: SubscriptionActive, Dead: upTo(f.Dead, sql.CountLimit), Topics: f.Topics, Target: relay.ShownTarget(f.Target),
		TargetHidden: whyHidden(f.Target), Paused: f.Paused, Ordered: f.Ordered, Broadcast: f.Broadcast, Ack: f.Ack,
		AckTimeoutSeconds: f.AckTimeout.Seconds(), TimeoutSeconds: seconds(f.Timeout), Concurrency: f.Concurrency, RateLimit: f.RateLimit,
		MaxAttempts: f.MaxAttempts, MaxHandleAttempts: f.MaxHandleAttempts, BackoffSeconds: []float64{}, OnDead: f.OnDead, Secrets: f.Secrets,
		Headers: f.Headers, CreatedAt: f.CreatedAt.UTC(), Version: f.Version, Outstanding: newBacklog(f),
	}
	for _, interval := range f.Backoff {
		s.BackoffSeconds = append(s.BackoffSeconds, interval.Seconds())
	}
	_, err := relay.ParseSubscriptionTarget(f.Target)
	switch {
	case err != nil:
		s.State, s.Error = SubscriptionInvalid, err.Error()
	case f.Paused:
		s.State = SubscriptionPaused
	}
	return s
}

func newBacklog(f sql.SubscriptionFacts) Backlog {
	b := Backlog{ByStatus: map[string]int{}, OldestAt: utc(f.Oldest)}
	total := 0
	for _, c := range f.Outstanding {
		b.ByStatus[c.Status] = c.Count
		total += c.Count
	}
	b.Count = upTo(total, sql.CountLimit)
	return b
}

// seconds is a duration that may be missing as views have it.
func seconds(d *time.Duration) *float64 {
	if d == nil {
		return nil
	}
	n := d.Seconds()
	return &n
}
