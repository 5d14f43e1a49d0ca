package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"relay/operate"
	"relay/sql"
)

// choice says which messages a command changes, and how fast.
type choice struct {
	selection
	jobOptions
	IDs []string
}

func (c *choice) flags(cmd *cobra.Command) {
	c.selection.flags(cmd)
	c.jobOptions.flags(cmd)
	cmd.Args = arguments(0, nil, &c.IDs)
}

// Validate judges what excludes each other.
func (c *choice) Validate() error {
	filter := c.Filter
	filter.Subscription = "" // for messages given by id it names the subscriber
	switch {
	case len(c.IDs) > 0 && !filter.Empty():
		return errors.New("give message ids or a filter, not both")
	case len(c.IDs) == 0 && len(c.Status) == 0:
		return errors.New("give message ids, or a filter with --status")
	case len(c.IDs) > 0 && c.Preview:
		return errors.New("--preview is for a filter; messages given by their ids are changed at once")
	}
	if err := c.jobOptions.Validate(); err != nil {
		return err
	}
	return c.selection.Validate()
}

// request is the job of the filter.
func (c *choice) request(kind sql.JobKind, force bool) operate.JobRequest {
	return operate.JobRequest{Kind: kind, Filter: c.Filter, Rate: c.Rate, Force: force}
}

// change is the change of the messages that were given by id.
func (c *choice) change(force bool) operate.Change {
	return operate.Change{IDs: c.IDs, Subscription: c.Subscription, Force: force, Rate: c.Rate}
}

// changeFunc changes messages and tells what became of them.
type changeFunc func(ctx context.Context, actor operate.Actor, c operate.Change, tell func([]operate.Result) error) error

// byID changes the messages that were given by id and prints a line for each. It fails if one of them did not become
// what the person wants, and returns those that did.
func (c *choice) byID(ctx context.Context, w io.Writer, kind sql.JobKind, force bool, change changeFunc) (changed []string, err error) {
	all := 0
	err = change(ctx, c.actor(), c.change(force), func(results []operate.Result) error {
		for _, r := range results {
			all++
			if r.OK {
				changed = append(changed, r.ID)
			}
			if err := printResult(w, c.JSON, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(changed) < all {
		err = fmt.Errorf("%s: %d of %s failed", kind, all-len(changed), plural(int64(all), "message"))
	}
	return changed, err
}

// printResult prints what became of one message.
func printResult(w io.Writer, asJSON bool, r operate.Result) error {
	if asJSON {
		return printJSON(w, r)
	}
	_, err := fmt.Fprintf(w, "%s  %s\n", r.ID, r)
	return err
}
