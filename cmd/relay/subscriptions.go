package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"relay/operate"
)

// completeSubscriptions completes an option with the names of the subscriptions in the database.
func completeSubscriptions(cmd *cobra.Command, option string) {
	if err := cmd.RegisterFlagCompletionFunc(option, completeNames); err != nil {
		panic(err) // the option was added a moment ago
	}
}

// completeName completes the argument of a command with the names of the subscriptions in the database.
func completeName(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeNames(cmd, args, typed)
}

// completionLimit bounds how long a person waits for a completion.
const completionLimit = 2 * time.Second

func completeNames(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	app, found := cmd.Context().Value(appKey{}).(*App)
	if !found {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionLimit)
	defer cancel()
	service, end, err := connect(ctx, app)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp // without a database there is nothing to complete
	}
	defer end()
	page, err := service.Subscriptions(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, s := range page.Items {
		names = append(names, s.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// named is a command about one subscription.
type named struct {
	because
	Name string
	JSON bool
}

func (c *named) on(use, short string) *cobra.Command {
	cmd := &cobra.Command{Use: use + " NAME", Short: short, Args: exactly(&c.Name), ValidArgsFunction: completeName, Example: "  relay subscriptions " + use + " billing"}
	c.because.flags(cmd)
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// changedSubscription is what became of a subscription, as JSON.
type changedSubscription struct {
	Name   string `json:"name"`
	Result string `json:"result"`
}

func (c *named) print(app *App, result string) error {
	return printAs(app.Stdout, c.JSON, changedSubscription{c.Name, result}, fmt.Sprintf("%s  %s\n", c.Name, result))
}

// setPaused pauses or resumes a subscription.
func (c *named) setPaused(ctx context.Context, app *App, paused bool, says string) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	if err := service.SetPaused(ctx, c.actor(), c.Name, paused); err != nil {
		return err
	}
	return c.print(app, says)
}

// SubscriptionsPauseCmd is `relay subscriptions pause NAME`.
type SubscriptionsPauseCmd struct{ named }

func (c *SubscriptionsPauseCmd) command() *cobra.Command {
	return c.on("pause", "Keep a subscription's messages in the table.")
}

// Run pauses a subscription. Relays that run know of it within two seconds.
func (c *SubscriptionsPauseCmd) Run(ctx context.Context, app *App) error {
	return c.setPaused(ctx, app, true, "paused")
}

// SubscriptionsResumeCmd is `relay subscriptions resume NAME`.
type SubscriptionsResumeCmd struct{ named }

func (c *SubscriptionsResumeCmd) command() *cobra.Command {
	return c.on("resume", "Send again what waits for a paused subscription.")
}

// Run resumes a subscription: what has waited is sent, in the order of its keys.
func (c *SubscriptionsResumeCmd) Run(ctx context.Context, app *App) error {
	return c.setPaused(ctx, app, false, "resumed")
}

// SubscriptionsDeleteCmd is `relay subscriptions delete NAME`.
type SubscriptionsDeleteCmd struct {
	named
	Force bool
}

func (c *SubscriptionsDeleteCmd) command() *cobra.Command {
	cmd := c.on("delete", "Delete a subscription.")
	cmd.Flags().BoolVar(&c.Force, "force", false, "Cancel the deliveries that have not ended, each with an error that says so.")
	return cmd
}

// Run deletes a subscription. The database refuses that while deliveries are outstanding.
func (c *SubscriptionsDeleteCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	deleted, err := service.Delete(ctx, c.actor(), c.Name, "", c.Force)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(app.Stdout, deleted)
	case deleted.Cancelled > 0:
		return c.print(app, "deleted, "+plural(int64(deleted.Cancelled), "delivery")+" cancelled")
	}
	return c.print(app, "deleted")
}

// SubscriptionsReplayCmd is `relay subscriptions replay NAME`.
type SubscriptionsReplayCmd struct {
	jobOptions
	Name   string
	Filter operate.Filter
	Wait   bool
}

func (c *SubscriptionsReplayCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "replay NAME", Short: "Send the messages of the past to a subscription, by a job in the background.", Args: exactly(&c.Name),
		ValidArgsFunction: completeName, Example: "  relay subscriptions replay billing --since 2d --topic 'order.#' --preview",
	}
	textFlag(cmd, &c.Filter.Since, "since", "Inserted at or after this `TIME`, as 2026-01-31T12:00:00Z, or so long ago, as 2h or 7d.")
	textFlag(cmd, &c.Filter.Until, "until", "Inserted before this `TIME`, written likewise. Unset: now.")
	f := cmd.Flags()
	f.StringVar(&c.Filter.Topic, "topic", "", "Only of this topic, or of this `PATTERN`, among those of the subscription.")
	f.StringVar(&c.Filter.Key, "key", "", "Only of this ordering `KEY`.")
	f.StringVar(&c.Filter.Source, "source", "", "Only of this sending `SERVICE`.")
	f.BoolVar(&c.Wait, "wait", false, "Wait until the job has ended, and fail if a message did.")
	c.jobOptions.flags(cmd)
	return cmd
}

// Validate judges the filter and the rate.
func (c *SubscriptionsReplayCmd) Validate() error {
	if err := c.Filter.Validate(); err != nil {
		return inOptions(err)
	}
	return c.jobOptions.Validate()
}

// Run makes a job that sends the messages of the past to a subscription, whether it has had
// them or not, and to no other one.
func (c *SubscriptionsReplayCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	r := operate.JobRequest{Kind: "replay", Subscription: c.Name, Filter: c.Filter, Rate: c.Rate}
	return c.startAndFollow(ctx, app, service, r, c.Wait)
}
