package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"relay/operate"
)

// PulseCmd is `relay pulse`.
type PulseCmd struct {
	Subscription string
	Since, Until operate.Moment
	Step         time.Duration
	JSON         bool
}

func (c *PulseCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pulse", Short: "Show rates, latencies and what was outstanding over time; eight days are kept.", Args: exactly(),
		Example: "  relay pulse --since 6h --step 10m\n  relay pulse --subscription billing --json",
	}
	cmd.Flags().StringVar(&c.Subscription, "subscription", "", "Of the subscriber `NAME` alone; direct and default are two.")
	textFlag(cmd, &c.Since, "since", "From this `TIME` on, as 2026-01-31T12:00:00Z, or so long ago, as 6h or 7d. (default 1h)")
	textFlag(cmd, &c.Until, "until", "Up to this `TIME`, written likewise. (default now)")
	spanFlag(cmd, &c.Step, "step", 0, "`SPAN` of one line, in whole minutes. Unset: at most 180 lines.")
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	completeSubscriptions(cmd, "subscription")
	return cmd
}

// Run shows a history.
func (c *PulseCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	from, to := operate.PulseSpan(c.Since, c.Until, time.Now())
	pulse, err := service.Pulse(ctx, c.Subscription, from, to, c.Step)
	if err != nil {
		return err
	}
	return printAs(app.Stdout, c.JSON, pulse, pulseTable(pulse))
}

// pulseTable prints a history, the oldest first.
func pulseTable(pulse operate.Pulse) string {
	rows := [][]string{{"AT", "RECEIVED", "ACCEPTED", "HANDLED", "NOT REACHED", "NOT HANDLED", "DEAD", "P50", "P99", "OUTSTANDING"}}
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	for _, p := range pulse.Points {
		outstanding := "–"
		if p.Outstanding != nil {
			outstanding = upTo(*p.Outstanding)
		}
		rows = append(rows, []string{
			p.At.Format(time.RFC3339), n(p.Received), n(p.Accepted), n(p.Handled), n(p.PushFailed), n(p.HandleFailed), n(p.Dead), milliseconds(p.WaitP50), milliseconds(p.WaitP99), outstanding,
		})
	}
	step := time.Duration(pulse.Step) * time.Second
	return columns(rows, []int{20, 10, 10, 10, 11, 11, 8, 9, 9, 11}, 2*tableWidth) + fmt.Sprintf("each line is %s\n", step)
}
