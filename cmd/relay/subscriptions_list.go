package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"relay/operate"
)

// SubscriptionsListCmd is `relay subscriptions list`.
type SubscriptionsListCmd struct{ JSON bool }

func (c *SubscriptionsListCmd) command() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List subscriptions with what waits for them.", Args: exactly(), Example: "  relay subscriptions list --json"}
	jsonFlag(cmd, &c.JSON, "Print a line of JSON for each subscription.")
	return cmd
}

// Run lists the subscriptions by name.
func (c *SubscriptionsListCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	page, err := service.Subscriptions(ctx)
	if err != nil {
		return err
	}
	return printList(app.Stdout, c.JSON, page.Items, subscriptionTable)
}

// subscriptionTable prints subscriptions in columns.
func subscriptionTable(list []operate.Subscription, now time.Time, width int) string {
	if len(list) == 0 {
		return "no subscriptions\n"
	}
	rows := [][]string{{"NAME", "STATE", "OUTSTANDING", "OLDEST", "DEAD", "TOPICS", "TARGET"}}
	for _, s := range list {
		oldest := ""
		if s.Outstanding.OldestAt != nil {
			oldest = shortAge(now.Sub(*s.Outstanding.OldestAt))
		}
		rows = append(rows, []string{s.Name, string(s.State), backlogText(s.Outstanding), oldest, upTo(s.Dead), strings.Join(s.Topics, ","), s.Target})
	}
	return columns(rows, []int{20, 7, 34, 6, 7, 24, 40}, max(width, 2*tableWidth))
}

// backlogText says how many deliveries are outstanding in each status.
func backlogText(b operate.Backlog) string {
	if b.N == 0 {
		return "0"
	}
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(b.ByStatus)) {
		parts = append(parts, fmt.Sprintf("%s %d", status, b.ByStatus[status]))
	}
	return upTo(b.Count) + ": " + strings.Join(parts, ", ")
}
