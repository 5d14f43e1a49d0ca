package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"relay"
	"relay/sql"
)

// Setting is a value of a subscription that may be left as it is, set, or taken back to the variable's value.
type Setting[T any] struct {
	Given bool
	Value *T // nil: back to the variable's value, or to no limit
}

// Set gives a setting a value.
func Set[T any](value T) Setting[T] { return Setting[T]{Given: true, Value: &value} }

// Unset takes a setting back to the variable's value, or to no limit.
func Unset[T any]() Setting[T] { return Setting[T]{Given: true} }

// UnmarshalJSON reads a value, or null, which takes it back.
func (s *Setting[T]) UnmarshalJSON(text []byte) error {
	s.Given = true
	return json.Unmarshal(text, &s.Value)
}

// Settings are what is to be changed of a subscription, as the columns of relay.subscription have it. A new one needs
// topics and a target.
type Settings struct {
	Topics            Setting[[]string]          `json:"topics"`
	Target            Setting[string]            `json:"target"`
	Paused            Setting[bool]              `json:"paused"`
	Ordered           Setting[bool]              `json:"ordered"`
	Broadcast         Setting[bool]              `json:"broadcast"`
	Ack               Setting[string]            `json:"ack"` // response or consumer
	AckTimeout        Setting[Span]              `json:"ack_timeout_seconds"`
	Timeout           Setting[Span]              `json:"timeout_seconds"`
	OnDead            Setting[string]            `json:"on_dead"` // continue or block
	Backoff           Setting[[]Span]            `json:"backoff_seconds"`
	Headers           Setting[map[string]string] `json:"headers"` // all are replaced
	Concurrency       Setting[int]               `json:"concurrency"`
	RateLimit         Setting[float64]           `json:"rate_limit"` // per second
	MaxAttempts       Setting[int]               `json:"max_attempts"`
	MaxHandleAttempts Setting[int]               `json:"max_handle_attempts"`
	Secrets           Setting[[]string]          `json:"secrets"` // newest first
}

// Span is a time span above zero. As text it is written as relay.ParseSpan reads it, in JSON it is a number of seconds.
type Span time.Duration

// UnmarshalText reads the span.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := relay.ParseSpan(string(text))
	if err != nil || d < time.Microsecond {
		return fmt.Errorf("%s is not a time span above 0, as 90s, 1h30m or 7d", quote(string(text)))
	}
	*s = Span(d)
	return nil
}

// UnmarshalJSON reads the seconds.
func (s *Span) UnmarshalJSON(text []byte) error {
	var n float64
	if err := json.Unmarshal(text, &n); err != nil {
		return err
	}
	if n *= float64(time.Second); n < float64(time.Microsecond) || n > math.MaxInt64/2 {
		return errors.New("a number of seconds above 0 is needed")
	}
	*s = Span(n)
	return nil
}

// MarshalJSON writes the seconds.
func (s Span) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).Seconds()) }

// interval is the span as PostgreSQL reads it.
func (s Span) interval() string {
	return fmt.Sprintf("%d microseconds", time.Duration(s).Microseconds())
}

// Validate judges what the table cannot.
func (s Settings) Validate() error {
	if s.Topics.Value != nil {
		for _, pattern := range *s.Topics.Value {
			if err := relay.CheckPattern(pattern); err != nil {
				return invalid("topics", "%s", err)
			}
		}
	}
	if s.Target.Value != nil {
		if _, err := relay.ParseSubscriptionTarget(*s.Target.Value); err != nil {
			return invalid("target", "%s", strings.TrimPrefix(err.Error(), "target: "))
		}
	}
	if s.Headers.Value != nil {
		if err := checkHeaders(*s.Headers.Value); err != nil {
			return err
		}
	}
	if s.Secrets.Value != nil {
		if err := relay.CheckSubscriptionSecrets(*s.Secrets.Value); err != nil {
			return invalid("secrets", "%s", err)
		}
	}
	if s.RateLimit.Value != nil && (!(*s.RateLimit.Value > 0) || math.IsInf(*s.RateLimit.Value, 0)) {
		return invalid("rate_limit", "a number above 0 is needed")
	}
	for field, n := range map[string]*int{"concurrency": s.Concurrency.Value, "max_attempts": s.MaxAttempts.Value, "max_handle_attempts": s.MaxHandleAttempts.Value} {
		if n != nil && (*n < 1 || *n > math.MaxInt32) {
			return invalid(field, "a whole number from 1 is needed")
		}
	}
	return nil
}

// columns are the columns that were given, as PostgreSQL reads them.
func (s Settings) columns() map[string]any {
	given := map[string]any{}
	put(given, "topics", s.Topics, same)
	put(given, "target", s.Target, func(v string) any { return strings.TrimSpace(v) })
	put(given, "paused", s.Paused, same)
	put(given, "ordered", s.Ordered, same)
	put(given, "broadcast", s.Broadcast, same)
	put(given, "ack", s.Ack, same)
	put(given, "ack_timeout", s.AckTimeout, func(v Span) any { return v.interval() })
	put(given, "timeout", s.Timeout, func(v Span) any { return v.interval() })
	put(given, "on_dead", s.OnDead, same)
	put(given, "backoff", s.Backoff, intervals)
	put(given, "headers", s.Headers, same)
	put(given, "concurrency", s.Concurrency, same)
	put(given, "rate_limit", s.RateLimit, same)
	put(given, "max_attempts", s.MaxAttempts, same)
	put(given, "max_handle_attempts", s.MaxHandleAttempts, same)
	put(given, "secrets", s.Secrets, same)
	return given
}

func put[T any](given map[string]any, name string, s Setting[T], column func(T) any) {
	switch {
	case s.Given && s.Value == nil:
		given[name] = nil
	case s.Given:
		given[name] = column(*s.Value)
	}
}

func same[T any](v T) any { return v }

func intervals(spans []Span) any {
	var list []string
	for _, s := range spans {
		list = append(list, s.interval())
	}
	return list
}

// Put makes a subscription or changes it. Relays that run know of it at once for messages inserted afterwards, and
// within two seconds for the others.
// A version is what the subscription must still have; an empty one is any.
func (s *Service) Put(ctx context.Context, actor Actor, name, version string, settings Settings) (created bool, err error) {
	if err := settings.Validate(); err != nil {
		return false, err
	}
	given := settings.columns()
	if len(given) == 0 {
		return false, refused(CodeInvalid, nil, "nothing to set: at least one setting is needed")
	}
	return s.set(ctx, actor, name, version, given, true)
}

// SetPaused pauses a subscription or resumes it: what has waited is sent then, in the order of its keys. Relays that
// run know of it within two seconds.
func (s *Service) SetPaused(ctx context.Context, actor Actor, name string, paused bool) error {
	_, err := s.set(ctx, actor, name, "", map[string]any{"paused": paused}, false)
	return err
}

func (s *Service) set(ctx context.Context, actor Actor, name, version string, given map[string]any, create bool) (created bool, err error) {
	columns, err := json.Marshal(given)
	if err != nil {
		return false, invalid("settings", "%s", err)
	}
	created, err = s.by(actor).SetSubscriptionAt(ctx, name, columns, create, version)
	var no sql.RefusedSetting
	if errors.As(err, &no) {
		return false, &Error{Code: CodeInvalid, Field: strings.Join(no.Columns, ", "), Text: no.Why, cause: err}
	}
	return created, noSubscription(err, name)
}

// noSubscription names the subscription that is not there.
func noSubscription(err error, name string) error {
	if errors.Is(err, sql.ErrNoSubscription) {
		return refused(CodeNoSubscription, err, "there is no subscription %s", quote(name))
	}
	return err
}
