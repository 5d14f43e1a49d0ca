package api

import (
	"reflect"
	"strings"
	"time"

	"relay/operate"
)

// settings is what a PUT sets: all but what is hidden, which changes only if it is named.
func (b SubscriptionSettings) settings() operate.Settings {
	s := operate.Settings{
		Topics: operate.Set(b.Topics), Paused: operate.Set(b.Paused), Broadcast: operate.Set(b.Broadcast), Ordered: operate.Set(b.Ordered == nil || *b.Ordered),
		Ack: operate.Set(or(b.Ack, "response")), OnDead: operate.Set(or(b.OnDead, "continue")), AckTimeout: operate.Set(span(or(b.AckTimeoutMS, 60_000))),
		Timeout: operate.Unset[operate.Span](), Backoff: operate.Unset[[]operate.Span](), Concurrency: pointed(b.Concurrency), RateLimit: pointed(b.RateLimit),
		MaxAttempts: pointed(b.MaxAttempts), MaxHandleAttempts: pointed(b.MaxHandleAttempts),
	}
	if b.Target != "" {
		s.Target = operate.Set(b.Target)
	}
	if b.TimeoutMS != nil {
		s.Timeout = operate.Set(span(*b.TimeoutMS))
	}
	if len(b.BackoffMS) > 0 {
		var spans []operate.Span
		for _, ms := range b.BackoffMS {
			spans = append(spans, span(ms))
		}
		s.Backoff = operate.Set(spans)
	}
	return s
}

// headers are those that are named, with nil for a value that is kept. Nil means that all are kept.
func (b SubscriptionSettings) headers() map[string]*string {
	if b.Headers == nil {
		return nil
	}
	named := map[string]*string{}
	for _, h := range b.Headers {
		named[h.Name] = h.Value
	}
	return named
}

func span(ms int64) operate.Span { return operate.Span(time.Duration(ms) * time.Millisecond) }

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// pointed is a setting that null takes back.
func pointed[T any](value *T) operate.Setting[T] {
	return operate.Setting[T]{Given: true, Value: value}
}

// differences names the settings that differ, as JSON has them.
func differences(before, after SubscriptionFacts) []string {
	changed := []string{}
	b, a := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range b.NumField() {
		if !reflect.DeepEqual(b.Field(i).Interface(), a.Field(i).Interface()) {
			name, _, _ := strings.Cut(b.Type().Field(i).Tag.Get("json"), ",")
			changed = append(changed, name)
		}
	}
	return changed
}
