package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"relay"
	"relay/notify/webhook"
	"relay/sql"
)

// SubscriptionsSetCmd is `relay subscriptions set NAME`. Its options are the columns of
// relay.subscription.
type SubscriptionsSetCmd struct {
	Name string `arg:"" help:"Subscription; without colon, slash and white space."`

	Topics    []string `name:"topics" placeholder:"PATTERN" help:"Topics, or patterns as AMQP has them: * is one word, # any number. Separated by commas, or repeated. A new subscription needs them."`
	Target    string   `name:"target" help:"http://…, https://…, amqp:<exchange>/<routing key> or amqp:/<queue>. A new subscription needs it."`
	Paused    *bool    `name:"paused" negatable:"" help:"Keep its messages in the table."`
	Ordered   *bool    `name:"ordered" negatable:"" help:"Messages of a key one after the other (as it is unless changed)."`
	Broadcast *bool    `name:"broadcast" negatable:"" help:"Each of its live instances gets every message."`

	Ack        string  `name:"ack" placeholder:"WHO" enum:",response,consumer" default:"" help:"What says that a message was handled: the response, or the consumer later."`
	AckTimeout *span   `name:"ack-timeout" placeholder:"SPAN" help:"How long the consumer's word is waited for before the message goes again, as 1m."`
	Timeout    *span   `name:"timeout" placeholder:"SPAN" help:"Bound of one attempt, as 10s. default: RELAY_HTTP_TIMEOUT."`
	OnDead     string  `name:"on-dead" placeholder:"WHAT" enum:",continue,block" default:"" help:"After a message died: continue with its key, or block it until a person acts."`
	Backoff    *spans  `name:"backoff" placeholder:"SPANS" help:"Intervals between attempts, as 5s,1m; the last repeats. default: RELAY_BACKOFF."`
	Headers    headers `name:"header" sep:"none" placeholder:"NAME=VALUE" help:"Header that is sent along; repeatable. All that it has are replaced; an empty one removes them."`

	Concurrency       *count   `name:"concurrency" placeholder:"N" help:"Attempts at once. default: RELAY_HTTP_CONCURRENCY."`
	RateLimit         *perUnit `name:"rate-limit" placeholder:"N" help:"Attempts per second. default: no limit."`
	MaxAttempts       *count   `name:"max-attempts" placeholder:"N" help:"Attempts before a message is dead. default: RELAY_MAX_ATTEMPTS."`
	MaxHandleAttempts *count   `name:"max-handle-attempts" placeholder:"N" help:"Of these, the ones that may fail in the consumer's own logic; 1: never again by itself. default: no limit of their own."`

	Secrets     *string `name:"secrets" help:"Signing secrets, whsec_ and base64, newest first, separated by commas. Others on this machine may see them: rather --secrets-file. default: RELAY_HTTP_SECRET."`
	SecretsFile string  `name:"secrets-file" placeholder:"FILE" help:"File that holds the secrets."`
}

// unset is the word that takes an option back to the variable's value, or to no limit.
const unset = "default"

// span is a time span, or unset.
type span struct{ *time.Duration }

// UnmarshalText reads a duration as Go writes it.
func (s *span) UnmarshalText(text []byte) error {
	if string(text) == unset {
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < time.Microsecond {
		return fmt.Errorf("%s is not a time span above 0, as 10s, or %s", quote(string(text)), unset)
	}
	s.Duration = &d
	return nil
}

// column is the span as PostgreSQL reads it.
func (s *span) column() any {
	if s.Duration == nil {
		return nil
	}
	return interval(*s.Duration)
}

func interval(d time.Duration) string { return fmt.Sprintf("%d microseconds", d.Microseconds()) }

// spans are time spans, or unset.
type spans []span

// UnmarshalText reads durations separated by commas.
func (s *spans) UnmarshalText(text []byte) error {
	if string(text) == unset {
		return nil
	}
	for part := range strings.SplitSeq(string(text), ",") {
		var one span
		if err := one.UnmarshalText([]byte(strings.TrimSpace(part))); err != nil || one.Duration == nil {
			return fmt.Errorf("%s is not a list of time spans above 0, as 5s,1m, or %s", quote(string(text)), unset)
		}
		*s = append(*s, one)
	}
	return nil
}

func (s *spans) column() any {
	if len(*s) == 0 {
		return nil
	}
	var list []string
	for _, one := range *s {
		list = append(list, interval(*one.Duration))
	}
	return list
}

// count is a number from 1, or unset.
type count struct{ *int }

// UnmarshalText reads a number.
func (c *count) UnmarshalText(text []byte) error {
	if string(text) == unset {
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > math.MaxInt32 {
		return fmt.Errorf("%s is not a whole number from 1, or %s", quote(string(text)), unset)
	}
	c.int = &n
	return nil
}

func (c *count) column() any { return c.int }

// perUnit is a rate, or unset.
type perUnit struct{ *float64 }

// UnmarshalText reads a number above 0.
func (p *perUnit) UnmarshalText(text []byte) error {
	if string(text) == unset {
		return nil
	}
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(n > 0) || math.IsInf(n, 0) {
		return fmt.Errorf("%s is not a number above 0, or %s", quote(string(text)), unset)
	}
	p.float64 = &n
	return nil
}

func (p *perUnit) column() any { return p.float64 }

// headers are NAME=VALUE pairs; nil where none was given.
type headers []string

func (h headers) column() (any, error) {
	if len(h) == 1 && h[0] == "" {
		return struct{}{}, nil
	}
	return parseHeaders(h)
}

// Validate judges what the table cannot. It is called by kong.
func (c SubscriptionsSetCmd) Validate() error {
	for _, pattern := range c.Topics {
		if err := relay.CheckPattern(pattern); err != nil {
			return fmt.Errorf("--topics: %w", err)
		}
	}
	if c.Target != "" {
		if _, err := subscriptionTarget(c.Target); err != nil {
			return fmt.Errorf("--%w", err)
		}
	}
	if c.Secrets != nil && c.SecretsFile != "" {
		return errors.New("give --secrets or --secrets-file, not both")
	}
	return nil
}

// columns collects the columns that were given. Their names are those of the table.
func (c SubscriptionsSetCmd) columns() (map[string]any, error) {
	given := map[string]any{}
	put := func(name string, is bool, value func() any) {
		if is {
			given[name] = value()
		}
	}
	put("topics", c.Topics != nil, func() any { return c.Topics })
	put("paused", c.Paused != nil, func() any { return c.Paused })
	put("ordered", c.Ordered != nil, func() any { return c.Ordered })
	put("broadcast", c.Broadcast != nil, func() any { return c.Broadcast })
	put("ack", c.Ack != "", func() any { return c.Ack })
	put("ack_timeout", c.AckTimeout != nil, c.AckTimeout.column)
	put("timeout", c.Timeout != nil, c.Timeout.column)
	put("on_dead", c.OnDead != "", func() any { return c.OnDead })
	put("backoff", c.Backoff != nil, c.Backoff.column)
	put("concurrency", c.Concurrency != nil, c.Concurrency.column)
	put("rate_limit", c.RateLimit != nil, c.RateLimit.column)
	put("max_attempts", c.MaxAttempts != nil, c.MaxAttempts.column)
	put("max_handle_attempts", c.MaxHandleAttempts != nil, c.MaxHandleAttempts.column)
	if c.Target != "" {
		target, err := subscriptionTarget(c.Target)
		if err != nil {
			return nil, err
		}
		given["target"] = target.Raw
	}
	if c.Headers != nil {
		value, err := c.Headers.column()
		if err != nil {
			return nil, err
		}
		given["headers"] = value
	}
	return given, c.putSecrets(given)
}

func (c SubscriptionsSetCmd) putSecrets(given map[string]any) error {
	option, text := "--secrets", ""
	switch {
	case c.SecretsFile != "":
		content, err := os.ReadFile(c.SecretsFile)
		if err != nil {
			return fmt.Errorf("--secrets-file: %w", err)
		}
		option, text = "--secrets-file", string(content)
	case c.Secrets == nil:
		return nil
	case *c.Secrets == unset:
		given["secrets"] = nil
		return nil
	default:
		text = *c.Secrets
	}
	list, err := webhook.ParseSecrets(text)
	if err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	given["secrets"] = list
	return nil
}

// Run makes the subscription or changes it. Relays that run know of it at once for messages
// inserted afterwards, and within two seconds for the others.
func (c SubscriptionsSetCmd) Run(ctx context.Context, app *App) error {
	given, err := c.columns()
	if err != nil {
		return err
	}
	if len(given) == 0 {
		return errors.New("nothing to set: give at least one option")
	}
	columns, err := json.Marshal(given)
	if err != nil {
		return err
	}
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	created, err := store.SetSubscription(ctx, c.Name, columns, true)
	if err != nil {
		return refusedOption(err)
	}
	says := "changed"
	if created {
		says = "created"
	}
	_, err = fmt.Fprintf(app.Stdout, "%s  %s\n", c.Name, says)
	return err
}

// refusedOption names the options of the columns that the table refused.
func refusedOption(err error) error {
	var refused sql.RefusedSetting
	if !errors.As(err, &refused) {
		return err
	}
	options := make([]string, len(refused.Columns))
	for i, column := range refused.Columns {
		options[i] = map[string]string{"name": "NAME", "headers": "--header"}[column]
		if options[i] == "" {
			options[i] = "--" + strings.ReplaceAll(column, "_", "-")
		}
	}
	return fmt.Errorf("%s: %s", strings.Join(options, ", "), refused.Why)
}
