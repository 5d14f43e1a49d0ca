package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"relay"
	"relay/operate"
)

// SendersListCmd is `relay senders list`.
type SendersListCmd struct{ JSON bool }

func (c *SendersListCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the services that sent messages within 24 hours.", Args: exactly(), Example: "  relay senders list",
	}
	jsonFlag(cmd, &c.JSON, "Print a line of JSON for each sender.")
	return cmd
}

// Run lists senders by name.
func (c *SendersListCmd) Run(ctx context.Context, app *App) error {
	service, routing, end, err := connectRouting(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	list, err := service.Senders(ctx, routing)
	if err != nil {
		return err
	}
	return printList(app.Stdout, c.JSON, list, senderTable)
}

// connectRouting connects, and returns what decides which subscribers hear a topic: the variables of the running
// relays, or else those of the shell.
func connectRouting(ctx context.Context, app *App) (*operate.Service, operate.Routing, func(), error) {
	config, _, err := app.Configure()
	if err != nil {
		return nil, operate.Routing{}, nil, err
	}
	service, end, err := connect(ctx, app)
	if err != nil {
		return nil, operate.Routing{}, nil, err
	}
	routing, err := service.Routing(ctx, operate.Routing{Source: config.Source, Default: config.DefaultDestination.Kind != relay.TargetNone})
	if err != nil {
		end()
		return nil, operate.Routing{}, nil, err
	}
	return service, routing, end, nil
}

// senderTable prints senders in columns.
func senderTable(list []operate.Sender, now time.Time, width int) string {
	if len(list) == 0 {
		return "no senders within 24 hours\n"
	}
	rows := [][]string{{"SOURCE", "TOPICS", "PER SECOND", "24 H", "REJECTED", "LAST", "UNHEARD"}}
	for _, s := range list {
		rows = append(rows, []string{
			s.Source, strconv.Itoa(s.Topics), fmt.Sprintf("%.2f", s.RatePerSecond), upTo(s.Today), upTo(s.Rejected), ageOf(s.LastAt, now), strings.Join(s.Unheard, ","),
		})
	}
	return columns(rows, []int{24, 6, 10, 10, 8, 6, width}, max(width, tableWidth))
}

// SendersShowCmd is `relay senders show SOURCE`.
type SendersShowCmd struct {
	Source string
	JSON   bool
}

func (c *SendersShowCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show SOURCE", Short: "Show one sender: what became of its messages, and who receives its topics.", Args: exactly(&c.Source),
		Example: "  relay senders show shop --json",
	}
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// Run shows a sender.
func (c *SendersShowCmd) Run(ctx context.Context, app *App) error {
	service, routing, end, err := connectRouting(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	one, err := service.Sender(ctx, c.Source, routing)
	if err != nil {
		return err
	}
	return printAs(app.Stdout, c.JSON, one, senderText(one, time.Now(), terminalWidth(app.Stdout, tableWidth)))
}

// senderText is a sender for a terminal.
func senderText(one operate.Sender, now time.Time, width int) string {
	var stages []string
	for _, s := range one.Stages {
		if s.Count.N > 0 {
			stages = append(stages, fmt.Sprintf("%s %s", s.Stage, upTo(s.Count)))
		}
	}
	text := fmt.Sprintf("source     %s\nlately     %.2f a second, %s within 24 hours, %s rejected\nnewest     %s\n",
		visible(one.Source), one.RatePerSecond, counted(one.Today, "message"), upTo(one.Rejected), strings.Join(stages, ", "))
	rows := [][]string{{"TOPIC", "24 H", "REJECTED", "LAST", "RECEIVED BY"}}
	for _, t := range one.SentTopics {
		receivers := strings.Join(t.Subscriptions, ",")
		if t.Unheard {
			receivers = "no subscription"
		}
		rows = append(rows, []string{t.Topic, upTo(t.Today), upTo(t.Rejected), ageOf(&t.LastAt, now), receivers})
	}
	return text + "\n" + columns(rows, []int{32, 10, 8, 6, width}, max(width, tableWidth))
}
