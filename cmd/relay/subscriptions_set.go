package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"relay"
	"relay/operate"
)

// SubscriptionsSetCmd is `relay subscriptions set NAME`. Its options are the columns of
// relay.subscription.
type SubscriptionsSetCmd struct {
	named
	operate.Settings
	secretsFile string
	newHeaders  []string
}

// unset is the word that takes an option back to the variable's value, or to no limit.
const unset = "default"

func (c *SubscriptionsSetCmd) command() *cobra.Command {
	cmd := c.on("set", "Make a subscription, or change what is given of one.")
	cmd.Example = "  relay subscriptions set billing --topics 'order.#' --target https://billing.example/hook\n" +
		"  relay subscriptions set billing --max-attempts 5 --backoff 10s,1m,10m"
	f := cmd.Flags()
	f.Func("topics", "Topics, or `PATTERNS` as AMQP has them: * is one word, # any number. Separated by commas, or repeated. A new subscription needs them.", c.addTopics)
	settingFlag(cmd, &c.Target, "target", "`TARGET`: http://…, https://…, amqp:<exchange>/<routing key> or amqp:/<queue>. A new subscription needs it.", readText)
	switchFlag(cmd, &c.Paused, "paused", "Keep its messages in the table.")
	switchFlag(cmd, &c.Ordered, "ordered", "Messages of a key one after the other (as it is unless changed).")
	switchFlag(cmd, &c.Broadcast, "broadcast", "Each of its live instances gets every message.")
	settingFlag(cmd, &c.Ack, "ack", "`WORD` for what says that a message was handled: response, or consumer, which says so later.", wordOf("response", "consumer"))
	settingFlag(cmd, &c.AckTimeout, "ack-timeout", "`SPAN` for which the consumer's word is waited for before the message goes again, as 1m.", orUnset(readSpan))
	settingFlag(cmd, &c.Timeout, "timeout", "`SPAN` of one attempt at the most, as 10s. default: RELAY_HTTP_TIMEOUT.", orUnset(readSpan))
	settingFlag(cmd, &c.OnDead, "on-dead", "`WORD` for what comes after a message died: continue with its key, or block it until a person acts.", wordOf("continue", "block"))
	settingFlag(cmd, &c.Backoff, "backoff", "`SPANS` between attempts, as 5s,1m; the last repeats. default: RELAY_BACKOFF.", orUnset(readSpans))
	f.StringArrayVar(&c.newHeaders, "header", nil, "Header `NAME=VALUE` that is sent along; VALUE may be env:NAME or file:PATH (RELAY_SUBSCRIPTION_SECRETS); repeatable. All that it has are replaced; an empty one removes them.")
	settingFlag(cmd, &c.Concurrency, "concurrency", "`N` attempts at once. default: RELAY_HTTP_CONCURRENCY.", orUnset(readCount))
	settingFlag(cmd, &c.RateLimit, "rate-limit", "`N` attempts per second. default: no limit.", orUnset(readRate))
	settingFlag(cmd, &c.MaxAttempts, "max-attempts", "`N` attempts before a message is dead. default: RELAY_MAX_ATTEMPTS.", orUnset(readCount))
	settingFlag(cmd, &c.MaxHandleAttempts, "max-handle-attempts", "`N` of these may fail in the consumer's own logic; 1: never again by itself. default: no limit of their own.", orUnset(readCount))
	settingFlag(cmd, &c.Secrets, "secrets", "Signing `SECRETS`, whsec_ and base64, or env:NAME and file:PATH that hold them, newest first, separated by commas. Others on this machine may see them: rather --secrets-file. default: RELAY_HTTP_SECRET.", orUnset(readSecretList))
	f.StringVar(&c.secretsFile, "secrets-file", "", "`FILE` that holds the secrets.")
	return cmd
}

// settingFlag adds an option for a setting.
func settingFlag[T any](cmd *cobra.Command, to *operate.Setting[T], name, usage string, read func(string) (*T, error)) {
	cmd.Flags().Func(name, usage, func(text string) error {
		value, err := read(text)
		*to = operate.Setting[T]{Given: true, Value: value}
		return err
	})
}

// switchFlag adds an option that is given as --name or --no-name.
func switchFlag(cmd *cobra.Command, to *operate.Setting[bool], name, usage string) {
	set := func(unless bool) func(string) error {
		return func(text string) error {
			on, err := strconv.ParseBool(text)
			*to = operate.Set(on != unless)
			return err
		}
	}
	cmd.Flags().BoolFunc(name, usage, set(false))
	cmd.Flags().BoolFunc("no-"+name, "The opposite.", set(true))
}

// orUnset lets an option be taken back.
func orUnset[T any](read func(string) (*T, error)) func(string) (*T, error) {
	return func(text string) (*T, error) {
		if text == unset {
			return nil, nil
		}
		value, err := read(text)
		if err != nil {
			err = fmt.Errorf("%w, or %s", err, unset)
		}
		return value, err
	}
}

func wordOf(allowed ...string) func(string) (*string, error) {
	return func(text string) (*string, error) {
		for _, word := range allowed {
			if text == word {
				return &text, nil
			}
		}
		return nil, errors.New("allowed is " + listed(allowed))
	}
}

func readText(text string) (*string, error) { return &text, nil }

func readSpan(text string) (*operate.Span, error) {
	var s operate.Span
	return &s, s.UnmarshalText([]byte(text))
}

func readSpans(text string) (*[]operate.Span, error) {
	var list []operate.Span
	for part := range strings.SplitSeq(text, ",") {
		one, err := readSpan(part)
		if err != nil {
			return nil, errors.New("a list of time spans above 0 is needed, as 5s,1m")
		}
		list = append(list, *one)
	}
	return &list, nil
}

func readCount(text string) (*int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > math.MaxInt32 {
		return nil, errors.New("a whole number from 1 is needed")
	}
	return &n, nil
}

func readRate(text string) (*float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0) || math.IsInf(n, 0) {
		return nil, errors.New("a number above 0 is needed")
	}
	return &n, nil
}

// readSecretList splits secrets without judging them: an option's error would repeat them.
func readSecretList(text string) (*[]string, error) {
	list := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
	return &list, nil
}

func (c *SubscriptionsSetCmd) addTopics(text string) error {
	var topics []string
	if c.Topics.Value != nil {
		topics = *c.Topics.Value
	}
	c.Topics = operate.Set(append(topics, strings.Split(text, ",")...))
	return nil
}

// Validate judges what the table cannot.
func (c *SubscriptionsSetCmd) Validate() error {
	if c.Secrets.Given && c.secretsFile != "" {
		return errors.New("give --secrets or --secrets-file, not both")
	}
	if c.newHeaders != nil {
		headers := map[string]string{}
		if len(c.newHeaders) != 1 || c.newHeaders[0] != "" {
			var err error
			if headers, err = parseHeaders(c.newHeaders); err != nil {
				return err
			}
		}
		c.Headers = operate.Set(headers)
	}
	return inOptions(c.Settings.Validate())
}

// Run makes the subscription or changes it. Relays that run know of it at once for messages
// inserted afterwards, and within two seconds for the others.
func (c *SubscriptionsSetCmd) Run(ctx context.Context, app *App) error {
	if c.secretsFile != "" {
		content, err := os.ReadFile(c.secretsFile)
		if err != nil {
			return fmt.Errorf("--secrets-file: %w", err)
		}
		list, err := relay.ParseSubscriptionSecrets(string(content))
		if err != nil {
			return fmt.Errorf("--secrets-file: %w", err)
		}
		c.Secrets = operate.Set(list)
	}
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	created, err := service.Put(ctx, c.actor(), c.Name, "", c.Settings)
	switch {
	case err != nil:
		return err
	case created:
		return c.print(app, "created")
	}
	return c.print(app, "changed")
}
