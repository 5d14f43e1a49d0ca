package main

import (
	"context"

	"relay/sql"
)

// SubscriptionsReplayCmd is `relay subscriptions replay NAME`.
type SubscriptionsReplayCmd struct {
	jobOptions
	Name   string      `arg:"" name:"name" help:"Subscription that gets the messages."`
	Since  moment      `name:"since" help:"Inserted at or after this time, as 2026-01-31T12:00:00Z, or so long ago, as 2h."`
	Until  moment      `name:"until" help:"Inserted before this time, written likewise. Unset: now."`
	Topic  topicFilter `name:"topic" help:"Only of this topic, or of this pattern, among those of the subscription."`
	Key    string      `name:"key" help:"Only of this ordering key."`
	Source string      `name:"source" help:"Only of this sending service."`
}

// Run makes a job that sends the messages of the past to a subscription, whether it has had
// them or not, and to nobody else.
func (c SubscriptionsReplayCmd) Run(ctx context.Context, app *App) error {
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	return c.start(ctx, app, store, sql.JobReplay, sql.MessageFilter{
		ReplayTo: c.Name, Since: c.Since.Time, Until: c.Until.Time, Topic: string(c.Topic), Key: c.Key, Source: c.Source,
	})
}
