package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"relay"
	"relay/operate"
)

// SubscriptionsTestCmd is `relay subscriptions test NAME`.
type SubscriptionsTestCmd struct {
	named
	Topic string
	Wait  time.Duration
}

func (c *SubscriptionsTestCmd) command() *cobra.Command {
	cmd := c.on("test", "Send one test message to a subscription alone, and say how it ended.")
	cmd.Flags().StringVar(&c.Topic, "topic", operate.TopicTest, "`TOPIC` of the test message.")
	spanFlag(cmd, &c.Wait, "wait", 30*time.Second, "`SPAN` for which to wait for its end.")
	return cmd
}

// Validate judges the time.
func (c *SubscriptionsTestCmd) Validate() error {
	if c.Wait <= 0 {
		return errors.New("--wait: a time above 0 is needed")
	}
	return nil
}

// Run sends one message to the subscription alone, through the outbox and the relay that
// runs, and prints what became of it. Anything but handled or delivered is an error.
func (c *SubscriptionsTestCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	s, err := service.Test(ctx, c.actor(), c.Name, c.Topic)
	if err != nil {
		return err
	}
	if s, err = service.Await(ctx, s.ID, c.Wait); err != nil {
		return err
	}
	err = printAs(app.Stdout, c.JSON, s, s.ID+"\n"+sentText(s))
	if err == nil && s.Status != relay.MessageDone {
		err = fmt.Errorf("test message %s is %s", s.ID, sentStatus(s, c.Wait))
	}
	return err
}
