package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"relay/operate"
)

// OverviewCmd is `relay overview`.
type OverviewCmd struct{ JSON bool }

func (c *OverviewCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "overview", Short: "Show what needs a person, what goes through, and how each subscriber stands.", Args: exactly(),
		Example: "  relay overview\n  relay overview --json",
	}
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// Run shows the overview.
func (c *OverviewCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	o, err := service.Overview(ctx, nil, false)
	if err != nil {
		return err
	}
	return printAs(app.Stdout, c.JSON, o, overviewText(o, time.Now(), terminalWidth(app.Stdout, tableWidth)))
}

// overviewText is the overview for a terminal.
func overviewText(o operate.Overview, now time.Time, width int) string {
	var b strings.Builder
	for _, n := range o.Needs {
		line := "! " + visible(n.Text)
		if n.Fix != "" {
			line += " · " + visible(n.Fix)
		}
		fmt.Fprintln(&b, cut(line, width))
	}
	if len(o.Needs) == 0 {
		fmt.Fprintln(&b, "nothing needs you")
	}
	m, t := o.Messages, o.Traffic
	fmt.Fprintf(&b, "\nmessages   %s pending, %s delayed, %s open, %s dead, %s rejected, %s done\n",
		upTo(m.Pending), upTo(m.Delayed), upTo(m.Open), upTo(m.Dead), upTo(m.Rejected), upTo(m.Done))
	if m.Oldest != nil {
		fmt.Fprintf(&b, "oldest     %s, since it was inserted\n", shortAge(now.Sub(*m.Oldest)))
	}
	fmt.Fprintf(&b, "traffic    %.2f received, %.2f accepted, %.2f failed a second; %s to accepted\n",
		t.ReceivedPerSecond, t.AcceptedPerSecond, t.FailedPerSecond, latencyText(t.P50MS, t.P99MS))
	fmt.Fprintf(&b, "relays     %d, %d in flight, %s running\n\n", operate.Running(o.Relays), t.InFlight, plural(int64(o.RunningJobs), "job"))
	rows := [][]string{{"SUBSCRIBER", "PER SECOND", "P50 AND P99", "OUTSTANDING", "OLDEST", "DEAD", "BLOCKED", "CIRCUIT"}}
	for _, s := range o.Subscribers {
		rows = append(rows, []string{
			s.Name, fmt.Sprintf("%.2f", s.RatePerSecond), latencyText(s.P50MS, s.P99MS), upTo(s.Outstanding), ageOf(s.OldestAt, now), upTo(s.Dead), upTo(s.BlockedKeys), s.Circuit,
		})
	}
	b.WriteString(columns(rows, []int{24, 10, 18, 11, 6, 8, 8, 8}, max(width, tableWidth)))
	return b.String()
}

// latencyText is the median and the 99th percentile of latencies.
func latencyText(p50, p99 *float64) string {
	if p50 == nil || p99 == nil {
		return "-"
	}
	return milliseconds(p50) + " / " + milliseconds(p99)
}

// milliseconds prints a latency. Empty: there is none.
func milliseconds(ms *float64) string {
	switch {
	case ms == nil:
		return ""
	case *ms < 1000:
		return fmt.Sprintf("%.3g ms", *ms)
	}
	return fmt.Sprintf("%.3g s", *ms/1000)
}
