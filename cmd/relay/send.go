package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"relay"
	"relay/operate"
)

// SendCmd is `relay send TOPIC [PAYLOAD]`.
type SendCmd struct {
	Topic    string
	Payload  []string // one, or none
	Draft    operate.Draft
	Headers  []string
	BodyFile string
	Wait     time.Duration
	JSON     bool
}

func (c *SendCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "send TOPIC [PAYLOAD]", Short: "Insert one message through the outbox.",
		Long: "Insert one message through the outbox. The payload is delivered byte for byte; - reads it from standard input; without one the body is empty.",
		Args: arguments(1, []*string{&c.Topic}, &c.Payload),
		Example: "  relay send order.created '{\"id\": 17}' --key order-17 --wait 10s\n" +
			"  relay send report.due --delay 90m < /dev/null",
	}
	f := cmd.Flags()
	f.StringVar(&c.Draft.Key, "key", "", "Ordering `KEY`.")
	f.StringVar(&c.Draft.Destination, "destination", "", "`TARGET` of its own. Unset: routed by topic.")
	timeFlag(cmd, &c.Draft.DeliverAt, "deliver-at", "Not before this `TIME`, as 2026-01-31T12:00:00Z.")
	spanFlag(cmd, &c.Draft.Delay, "delay", 0, "Not before this `SPAN` from now, as 90m or 2d.")
	f.StringArrayVar(&c.Headers, "header", nil, "Header `NAME=VALUE` that is sent along; repeatable.")
	f.StringVar(&c.Draft.ContentType, "content-type", "", "Unset: application/json, or application/octet-stream with --body-file.")
	f.StringVar(&c.Draft.Source, "source", "", "Sending `SERVICE`. Unset: the relay's RELAY_SOURCE.")
	f.StringVar(&c.Draft.ID, "id", "", "Message id, a `UUID`. Unset: a new one.")
	f.StringVar(&c.BodyFile, "body-file", "", "`FILE` that holds a binary body, instead of a payload.")
	spanFlag(cmd, &c.Wait, "wait", 0, "Wait so long a `SPAN` for the message to end, say how, and fail unless it is done.")
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// Validate judges the flags that exclude each other.
func (c *SendCmd) Validate() error {
	switch {
	case len(c.Payload) > 1:
		return fmt.Errorf("unexpected argument %s", quote(c.Payload[1]))
	case len(c.Payload) > 0 && c.BodyFile != "":
		return errors.New("give a payload or --body-file, not both")
	case !c.Draft.DeliverAt.IsZero() && c.Draft.Delay != 0:
		return errors.New("give --deliver-at or --delay, not both")
	case c.Draft.Delay < 0:
		return errors.New("--delay: a time that has passed already")
	case c.Wait < 0:
		return errors.New("--wait: a time that has passed already")
	}
	return nil
}

// Run inserts one message through the outbox and prints its id.
func (c *SendCmd) Run(ctx context.Context, app *App) error {
	if err := c.read(app.Stdin); err != nil {
		return err
	}
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	s, err := service.Send(ctx, c.Draft)
	if err != nil {
		return err
	}
	// The id is known at once, whatever becomes of the wait.
	if !c.JSON {
		fmt.Fprintln(app.Stdout, s.ID)
	}
	if c.Wait == 0 {
		return c.print(app.Stdout, s)
	}
	if s, err = service.Await(ctx, s.ID, c.Wait); err != nil {
		return err
	}
	if err := c.print(app.Stdout, s); err != nil {
		return err
	}
	if s.Status != relay.MessageDone {
		return fmt.Errorf("message %s is %s", s.ID, sentStatus(s, c.Wait))
	}
	return nil
}

// read completes the draft by what flags and files hold.
func (c *SendCmd) read(stdin io.Reader) (err error) {
	c.Draft.Topic = c.Topic
	if c.Draft.Headers, err = parseHeaders(c.Headers); err != nil {
		return err
	}
	switch {
	case c.BodyFile != "":
		if c.Draft.Body, err = os.ReadFile(c.BodyFile); err != nil {
			return fmt.Errorf("--body-file: %w", err)
		}
	case len(c.Payload) > 0 && c.Payload[0] == "-":
		content, err := io.ReadAll(stdin)
		if err != nil {
			return fmt.Errorf("read the payload from standard input: %w", err)
		}
		text := string(content)
		c.Draft.Payload = &text
	case len(c.Payload) > 0:
		c.Draft.Payload = &c.Payload[0]
	}
	return nil
}

// parseHeaders reads NAME=VALUE pairs.
func parseHeaders(pairs []string) (map[string]string, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	headers := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if _, twice := headers[name]; !found || twice {
			return nil, fmt.Errorf("--header %s: write NAME=VALUE, each name once", quote(name))
		}
		headers[name] = value
	}
	return headers, nil
}

// print prints how the message stands; its id was printed unless as JSON.
func (c *SendCmd) print(w io.Writer, s operate.Sent) error {
	return printAs(w, c.JSON, s, sentText(s))
}
