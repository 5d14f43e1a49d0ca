package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"relay"
	"relay/sql"
)

// MessagesCmd is `relay messages …`: what a person does with messages.
type MessagesCmd struct {
	List   MessagesListCmd   `cmd:"" help:"List messages, the youngest first."`
	Show   MessagesShowCmd   `cmd:"" help:"Show one message with its deliveries and attempts."`
	Retry  MessagesRetryCmd  `cmd:"" help:"Send messages again, by id or by filter; with --subscription to one subscriber."`
	Copy   MessagesCopyCmd   `cmd:"" help:"Insert a message of the same content under a new id."`
	Cancel MessagesCancelCmd `cmd:"" help:"Cancel messages, by id or by filter; with --subscription for one subscriber."`
}

// selection is the filter by which messages are chosen.
type selection struct {
	Status       relay.MessageStatus `name:"status" placeholder:"STATUS" enum:",pending,open,done,dead,rejected,cancelled" default:"" help:"pending, open, done, dead, rejected or cancelled."`
	Topic        topicFilter         `name:"topic" help:"Topic, or a pattern: * is one word, # any number of words."`
	Key          string              `name:"key" help:"Ordering key."`
	Source       string              `name:"source" help:"Sending service, as the row names it."`
	Subscription string              `name:"subscription" help:"Subscriber; direct and default are two. With --status dead or open: the one where it is dead or open."`
	Cause        string              `name:"cause" help:"A part of the last error, in either case."`
	Since        moment              `name:"since" help:"Inserted at or after this time, as 2026-01-31T12:00:00Z, or so long ago, as 2h."`
	Until        moment              `name:"until" help:"Inserted before this time, written likewise."`
}

// empty reports whether nothing is asked for.
func (s selection) empty() bool { return s == selection{} }

func (s selection) filter() sql.MessageFilter {
	f := sql.MessageFilter{
		Topic: string(s.Topic), Key: s.Key, Source: s.Source, Subscription: s.Subscription, Error: s.Cause,
		Since: s.Since.Time, Until: s.Until.Time,
	}
	if s.Status != "" {
		f.Status = sql.Statuses{s.Status}
	}
	return f
}

// topicFilter is a topic, or a pattern that can match.
type topicFilter string

// UnmarshalText judges the pattern.
func (f *topicFilter) UnmarshalText(text []byte) error {
	*f = topicFilter(text)
	return relay.CheckTopicFilter(string(text))
}

// moment is a time that a person writes as one, or as a time span before now.
type moment struct{ time.Time }

// UnmarshalText reads RFC 3339, or a duration as Go writes it.
func (m *moment) UnmarshalText(text []byte) error {
	if span, err := time.ParseDuration(string(text)); err == nil && span >= 0 {
		m.Time = time.Now().Add(-span)
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%s is neither a time, as 2026-01-31T12:00:00Z, nor a duration, as 2h", quote(string(text)))
	}
	m.Time = at
	return nil
}

// dialStore connects once to the configured database. The caller closes the store.
func dialStore(ctx context.Context, app *App) (*sql.Store, error) {
	config, _, err := app.Configure()
	if err != nil {
		return nil, err
	}
	return config.Database().Open(ctx, 2)
}

// printJSON prints a value on one line.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// MessagesCopyCmd is `relay messages copy ID`.
type MessagesCopyCmd struct {
	ID          string `arg:"" name:"id" help:"Message id."`
	Destination string `name:"destination" help:"Target of the copy. Unset: as the message has it."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

// Run copies a message and prints the new id.
func (c MessagesCopyCmd) Run(ctx context.Context, app *App) error {
	id, err := relay.ParseID(c.ID)
	if err != nil {
		return err
	}
	var target relay.Target
	if c.Destination != "" {
		if target, err = relay.ParseTarget(c.Destination); err != nil {
			return fmt.Errorf("--destination: %w", err)
		}
	}
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	copied, err := store.CopyMessage(ctx, id, target.Raw)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(app.Stdout, sent{ID: copied.String()})
	}
	_, err = fmt.Fprintln(app.Stdout, copied)
	return err
}

// MessagesListCmd is `relay messages list`.
type MessagesListCmd struct {
	selection
	Limit int    `name:"limit" default:"50" help:"Messages to list, at most."`
	After string `name:"after" placeholder:"CURSOR" help:"Go on where an earlier list ended: the cursor that it printed."`
	JSON  bool   `name:"json" help:"Print a line of JSON for each message."`
}

// Validate judges the limit. It is called by kong.
func (c MessagesListCmd) Validate() error {
	if c.Limit < 1 || c.Limit > sql.FindWindow {
		return fmt.Errorf("--limit: allowed is 1 to %d", sql.FindWindow)
	}
	return nil
}

// searchLimit bounds a whole search. It looks at some hundred thousand messages a second.
const searchLimit = 20 * time.Second

// errSearchLimit is the cause with which a search ends that has taken too long.
var errSearchLimit = errors.New("the search took too long")

// Run lists messages. Where there may be more, the last line on standard error says how to
// go on.
func (c MessagesListCmd) Run(ctx context.Context, app *App) (err error) {
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	found, err := search(ctx, store, c.filter(), sql.Cursor(c.After), c.Limit)
	if err != nil {
		return err
	}
	if err := c.print(app.Stdout, found.Messages); err != nil {
		return err
	}
	switch {
	case found.Next != "" && len(found.Messages) < c.Limit:
		fmt.Fprintf(app.Stderr, "looked for %s, and not at all messages; go on: --after %s\n", searchLimit, found.Next)
	case found.Next != "":
		fmt.Fprintf(app.Stderr, "there may be more: --after %s\n", found.Next)
	}
	return nil
}

func (c MessagesListCmd) print(w io.Writer, messages []sql.MessageSummary) error {
	if !c.JSON {
		_, err := io.WriteString(w, messageTable(messages, time.Now()))
		return err
	}
	for _, m := range messages {
		if err := printJSON(w, newListed(m)); err != nil {
			return err
		}
	}
	return nil
}

// search finds up to limit messages, or as many as there are, or as searchLimit allows.
func search(ctx context.Context, store *sql.Store, f sql.MessageFilter, after sql.Cursor, limit int) (found sql.MessagePage, err error) {
	const most = 10_000 // per statement
	limited, cancel := context.WithTimeoutCause(ctx, searchLimit, errSearchLimit)
	defer cancel()
	found.Next = after
	for first := true; first || found.Next != "" && len(found.Messages) < limit; first = false {
		page, err := store.FindMessages(limited, f, found.Next, min(most, limit-len(found.Messages)))
		switch {
		case err != nil && errors.Is(context.Cause(limited), errSearchLimit) && found.Next != after:
			return found, nil
		case err != nil:
			return found, err
		}
		found.Messages = append(found.Messages, page.Messages...)
		found.Next = page.Next
	}
	return found, nil
}
