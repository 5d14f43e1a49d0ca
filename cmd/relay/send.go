package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"relay"
	"relay/sql"
)

// SendCmd is `relay send TOPIC [PAYLOAD]`.
type SendCmd struct {
	Topic   string  `arg:"" help:"Topic, such as order.created."`
	Payload *string `arg:"" optional:"" help:"Payload, delivered byte for byte; - reads it from standard input. None: an empty body."`

	Key         string        `name:"key" help:"Ordering key."`
	Destination string        `name:"destination" help:"Target of its own. Unset: routed by topic."`
	DeliverAt   time.Time     `name:"deliver-at" help:"Not before this time, as 2026-01-31T12:00:00Z."`
	Delay       time.Duration `name:"delay" help:"Not before this time from now, as 90m."`
	Headers     []string      `name:"header" sep:"none" placeholder:"NAME=VALUE" help:"Header that is sent along; repeatable."`
	ContentType string        `name:"content-type" help:"Unset: application/json, or application/octet-stream with --body-file."`
	Source      string        `name:"source" help:"Sending service. Unset: the relay's RELAY_SOURCE."`
	ID          string        `name:"id" help:"Message id, a UUID. Unset: a new one."`
	BodyFile    string        `name:"body-file" help:"File that holds a binary body, instead of a payload."`

	Wait time.Duration `name:"wait" help:"Wait so long for the message to end, say how, and fail unless it is done."`
	JSON bool          `name:"json" help:"Print JSON."`
}

// Validate judges the flags that exclude each other. It is called by kong.
func (c SendCmd) Validate() error {
	switch {
	case c.Payload != nil && c.BodyFile != "":
		return errors.New("give a payload or --body-file, not both")
	case !c.DeliverAt.IsZero() && c.Delay != 0:
		return errors.New("give --deliver-at or --delay, not both")
	case c.Delay < 0:
		return errors.New("--delay: a time that has passed already")
	case c.Wait < 0:
		return errors.New("--wait: a time that has passed already")
	}
	return nil
}

// Run inserts one message through the outbox and prints its id.
func (c SendCmd) Run(ctx context.Context, app *App) error {
	draft, err := c.draft(app.Stdin)
	if err != nil {
		return err
	}
	config, _, err := app.Configure()
	if err != nil {
		return err
	}
	store, err := config.Database().Open(ctx, 2)
	if err != nil {
		return err
	}
	defer store.Close()
	id, err := store.Send(ctx, draft)
	if err != nil {
		return err
	}
	if c.Wait == 0 {
		return c.print(app.Stdout, sent{ID: id.String()})
	}
	// The id is known at once, whatever becomes of the wait.
	if !c.JSON {
		fmt.Fprintln(app.Stdout, id)
	}
	p, err := c.await(ctx, store, id)
	if err != nil {
		return err
	}
	s := newSent(id, p)
	if err := c.print(app.Stdout, s); err != nil {
		return err
	}
	if p.Status != relay.MessageDone {
		return fmt.Errorf("message %s is %s", id, s.sentence(c.Wait))
	}
	return nil
}

// draft makes the message of the flags.
func (c SendCmd) draft(stdin io.Reader) (d sql.Draft, err error) {
	d = sql.Draft{
		Topic: c.Topic, Key: c.Key, Payload: c.Payload, ContentType: c.ContentType, Source: c.Source,
		DeliverAt: c.DeliverAt, Delay: c.Delay,
	}
	if c.Destination != "" {
		target, err := relay.ParseTarget(c.Destination)
		if err != nil {
			return d, fmt.Errorf("--destination: %w", err)
		}
		d.Destination = target.Raw
	}
	if c.ID != "" {
		if d.ID, err = relay.ParseID(c.ID); err != nil {
			return d, fmt.Errorf("--id: %w", err)
		}
	}
	if d.Headers, err = parseHeaders(c.Headers); err != nil {
		return d, err
	}
	switch {
	case c.BodyFile != "":
		if d.Body, err = os.ReadFile(c.BodyFile); err != nil {
			return d, fmt.Errorf("--body-file: %w", err)
		}
		if d.ContentType == "" {
			d.ContentType = "application/octet-stream"
		}
	case c.Payload != nil && *c.Payload == "-":
		content, err := io.ReadAll(stdin)
		if err != nil {
			return d, fmt.Errorf("read the payload from standard input: %w", err)
		}
		text := string(content)
		d.Payload = &text
	}
	return d, nil
}

// parseHeaders reads NAME=VALUE pairs and judges them as the relay would before it sends.
func parseHeaders(pairs []string) (map[string]string, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	headers := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if _, twice := headers[name]; !found || twice {
			return nil, fmt.Errorf("--header %s: write NAME=VALUE, each name once", quote(pair))
		}
		headers[name] = value
	}
	raw, err := json.Marshal(headers)
	if err != nil {
		return nil, fmt.Errorf("--header: %w", err)
	}
	if _, err := relay.ParseHeaders(raw); err != nil {
		return nil, fmt.Errorf("--header: %w", err)
	}
	return headers, nil
}

// await polls until the message has ended, or for as long as the person waits.
func (c SendCmd) await(ctx context.Context, store *sql.Store, id relay.ID) (p sql.Progress, err error) {
	limit := time.NewTimer(c.Wait)
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if p, err = store.Progress(ctx, id); err != nil {
			return p, err
		}
		if p.Status != relay.MessagePending && p.Status != relay.MessageOpen {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-limit.C:
			return p, nil
		case <-tick.C:
		}
	}
}

func (c SendCmd) print(w io.Writer, s sent) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(s)
	}
	_, err := io.WriteString(w, s.text(c.Wait))
	return err
}
