package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"relay/operate"
)

// AuditListCmd is `relay audit list`.
type AuditListCmd struct {
	operate.AuditFilter
	Limit int
	After string
	JSON  bool
}

func (c *AuditListCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the changes that people made: the person, the action and the object, the youngest first.", Args: exactly(),
		Example: "  relay audit list --since 1d\n  relay audit list --object-kind message --object " + exampleMessage,
	}
	f := cmd.Flags()
	f.StringVar(&c.Name, "name", "", "By the person of this `NAME`, as they said it.")
	wordFlag(cmd, &c.Role, "role", "", "With this `ROLE`: viewer, operator, cli or none.", "viewer", "operator", "cli", "none")
	f.StringVar(&c.Action, "action", "", "`ACTION`, as message.retry or subscription.set.")
	wordFlag(cmd, &c.Kind, "object-kind", "", "`KIND` of the object: message, subscription, key, job, failure, session or database.",
		"message", "subscription", "key", "job", "failure", "session", "database")
	f.StringVar(&c.Object, "object", "", "`ID` or name of the object; it needs --object-kind.")
	textFlag(cmd, &c.Since, "since", "At or after this `TIME`, as 2026-01-31T12:00:00Z, or so long ago, as 2h or 7d.")
	textFlag(cmd, &c.Until, "until", "Before this `TIME`, written likewise.")
	f.IntVar(&c.Limit, "limit", 50, "Entries to list, at most.")
	f.StringVar(&c.After, "after", "", "Go on after this `PLACE`, which the page before has named.")
	jsonFlag(cmd, &c.JSON, "Print a line of JSON for each entry.")
	return cmd
}

// Validate judges the limit.
func (c *AuditListCmd) Validate() error { return checkLimit(c.Limit, operate.MessageLimit) }

// Run lists entries of the audit.
func (c *AuditListCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	page, err := service.Audit(ctx, c.AuditFilter, operate.At{Cursor: c.After, Limit: c.Limit})
	if err != nil {
		return err
	}
	if err := printList(app.Stdout, c.JSON, page.Items, auditTable); err != nil {
		return err
	}
	hintMore(app, page.Next)
	return nil
}

// auditTable prints entries in columns.
func auditTable(list []operate.AuditEntry, _ time.Time, width int) string {
	if len(list) == 0 {
		return "no entries\n"
	}
	rows := [][]string{{"WHEN", "WHO", "ROLE", "ACTION", "OBJECT", "RESULT", "REASON"}}
	for _, e := range list {
		rows = append(rows, []string{clock(e.At), e.Name, e.Role, e.Action, e.Object, e.Result, e.Reason})
	}
	return columns(rows, []int{24, 16, 8, 22, 36, 24, width}, max(width, 2*tableWidth))
}
