package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"relay"
	"relay/sql"
)

// SubscriptionsTestCmd is `relay subscriptions test NAME`.
type SubscriptionsTestCmd struct {
	Name  string        `arg:"" help:"Subscription."`
	Topic string        `name:"topic" default:"relay.test" help:"Topic of the test message."`
	Wait  time.Duration `name:"wait" default:"30s" help:"How long to wait for its end."`
	JSON  bool          `name:"json" help:"Print JSON."`
}

// Validate judges the time. It is called by kong.
func (c SubscriptionsTestCmd) Validate() error {
	if c.Wait <= 0 {
		return errors.New("--wait: a time above 0 is needed")
	}
	return nil
}

// Run sends one message to the subscription alone, through the outbox and the relay that
// runs, and prints what became of it. Anything but handled or delivered is an error.
func (c SubscriptionsTestCmd) Run(ctx context.Context, app *App) error {
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	list, err := store.ListSubscriptions(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, func(s sql.SubscriptionFacts) bool { return s.Name == c.Name }) {
		return noSubscription(sql.ErrNoSubscription, c.Name)
	}
	payload := `{"test": true}`
	id, err := store.Send(ctx, sql.Draft{Topic: c.Topic, Payload: &payload, Destination: c.Name, Internal: strings.HasPrefix(c.Topic, "relay.")})
	if err != nil {
		return err
	}
	p, err := SendCmd{Wait: c.Wait}.await(ctx, store, id)
	if err != nil {
		return err
	}
	s := newSent(id, p)
	if c.JSON {
		err = printJSON(app.Stdout, s)
	} else {
		_, err = io.WriteString(app.Stdout, s.ID+"\n"+s.text(c.Wait))
	}
	if err == nil && p.Status != relay.MessageDone {
		err = fmt.Errorf("test message %s is %s", id, s.sentence(c.Wait))
	}
	return err
}
