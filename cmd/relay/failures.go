package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"relay/operate"
)

// failureGroup names a group of failures.
type failureGroup struct{ State, Subscription, Cause string }

func (g *failureGroup) flags(cmd *cobra.Command) {
	wordFlag(cmd, &g.State, "state", "dead", "`STATE`: dead (needs a person), failing (goes by itself) or rejected.", "dead", "failing", "rejected")
	cmd.Flags().StringVar(&g.Subscription, "subscription", "", "Subscriber `NAME`; direct and default are two.")
	cmd.Flags().StringVar(&g.Cause, "cause", "", "`CAUSE` of the last failure, as timeout or 'http 500'.")
	completeSubscriptions(cmd, "subscription")
}

// FailuresListCmd is `relay failures list`.
type FailuresListCmd struct {
	failureGroup
	JSON bool
}

func (c *FailuresListCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List what failed by subscriber and cause, the largest group first.", Args: exactly(),
		Example: "  relay failures list\n  relay failures list --state rejected --json",
	}
	c.failureGroup.flags(cmd)
	jsonFlag(cmd, &c.JSON, "Print a line of JSON for each group.")
	return cmd
}

// Run lists groups of failures.
func (c *FailuresListCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	groups, err := service.Failures(ctx, c.State, c.Subscription, c.Cause)
	if err != nil {
		return err
	}
	return printList(app.Stdout, c.JSON, groups, failureTable)
}

// failureTable prints groups of failures in columns.
func failureTable(groups []operate.FailureGroup, now time.Time, width int) string {
	if len(groups) == 0 {
		return "no failures\n"
	}
	rows := [][]string{{"SUBSCRIPTION", "CAUSE", "COUNT", "SINCE", "NEWEST", "WHY", "NOTE"}}
	for _, g := range groups {
		note := ""
		if g.Note != nil {
			note = g.Note.Text
		}
		rows = append(rows, []string{g.Subscription, cmp.Or(g.Cause, "unknown"), upTo(g.Count), ageOf(g.FirstAt, now), ageOf(g.LastAt, now), causeFirst(g.Error), note})
	}
	width = max(width, tableWidth)
	return columns(rows, []int{20, 20, 8, 6, 6, width / 2, width}, width)
}

// ageOf is how long ago something was. Empty: it never was.
func ageOf(at *time.Time, now time.Time) string {
	if at == nil {
		return ""
	}
	return shortAge(now.Sub(*at))
}

// FailuresShowCmd is `relay failures show`.
type FailuresShowCmd struct {
	failureGroup
	JSON bool
}

func (c *FailuresShowCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show", Short: "Look closer at one group: what its newest errors have in common, and some messages.", Args: exactly(),
		Example: "  relay failures show --subscription billing --cause 'http 500'",
	}
	c.failureGroup.flags(cmd)
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// Validate asks for the group.
func (c *FailuresShowCmd) Validate() error { return c.named() }

// named asks for the names of the group.
func (g failureGroup) named() error {
	if g.Subscription == "" && g.State != "rejected" {
		return errors.New("--subscription is missing: the subscriber where it failed")
	}
	return nil
}

// Run shows a group of failures.
func (c *FailuresShowCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	sample, err := service.FailureSample(ctx, c.State, c.Subscription, c.Cause)
	if err != nil {
		return err
	}
	return printAs(app.Stdout, c.JSON, sample, sampleText(sample, terminalWidth(app.Stdout, tableWidth)))
}

// sampleText is a closer look for a terminal.
func sampleText(sample operate.FailureSample, width int) string {
	if sample.Sampled == 0 {
		return "no failures\n"
	}
	rows := [][]string{{"COUNT", "ERROR", "AS IN"}}
	for _, p := range sample.Patterns {
		rows = append(rows, []string{strconv.FormatInt(p.N, 10), causeFirst(p.Pattern), p.ID})
	}
	text := fmt.Sprintf("of the newest %s:\n\n", plural(sample.Sampled, "failure")) + columns(rows, []int{8, max(width-48, 20), 36}, max(width, tableWidth))
	text += "\nnewest messages: " + strings.Join(sample.Newest, " ") + "\n"
	if sample.Guide != "" {
		text += "what to do: docs/troubleshooting.md#" + sample.Guide + "\n"
	}
	return text
}

// FailuresNoteCmd is `relay failures note TEXT`.
type FailuresNoteCmd struct {
	because
	failureGroup
	Text string
	JSON bool
}

func (c *FailuresNoteCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "note TEXT", Short: "Write a note at a group of failures, in place of the one before; an empty one removes it.", Args: exactly(&c.Text),
		Example: "  relay failures note 'the vendor mends it today' --subscription billing --cause 'http 500'",
	}
	c.failureGroup.flags(cmd)
	c.because.flags(cmd)
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// Validate asks for the group.
func (c *FailuresNoteCmd) Validate() error { return c.named() }

// Run writes a note.
func (c *FailuresNoteCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	note, err := service.SetNote(ctx, c.actor(), c.Subscription, c.Cause, c.Text)
	if err != nil {
		return err
	}
	return printAs(app.Stdout, c.JSON, note, fmt.Sprintf("noted by %s\n", visible(note.By)))
}
