package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/time/rate"

	"relay"
	"relay/sql"
)

const (
	// changeBatch is the most messages that one transaction changes.
	changeBatch = 500
	// A row that another session holds is tried so many times more, so far apart.
	lockedTries = 10
	lockedWait  = 200 * time.Millisecond
)

// choice says which messages a command changes, and how fast.
type choice struct {
	selection
	jobOptions
	IDs []string `arg:"" optional:"" name:"id" help:"Message ids. None: by filter, which needs --status, by a job in the background."`
}

// Validate judges what excludes each other. It is called by kong.
func (c choice) Validate() error {
	switch {
	case len(c.IDs) > 0 && !c.empty():
		return errors.New("give message ids or a filter, not both")
	case len(c.IDs) == 0 && c.Status == "":
		return errors.New("give message ids, or a filter with --status")
	case len(c.IDs) > 0 && (c.Preview || c.Wait):
		return errors.New("--preview and --wait are for a filter; messages given by their ids are changed at once")
	}
	return c.jobOptions.Validate()
}

// forOne is the choice without the subscription to which a change by ids is limited: there it
// is no part of a filter.
func (c choice) forOne() choice {
	if len(c.IDs) > 0 {
		c.Subscription = ""
	}
	return c
}

// changeFunc changes messages, and returns what became of each.
type changeFunc func(ctx context.Context, ids []relay.ID) ([]sql.Effect, error)

// changed is what became of one message.
type changed struct {
	ID     string     `json:"id"`
	Result sql.Effect `json:"result"`
}

// run changes the messages that were given by id, prints a line for each, and fails if one
// of them did not become what the person wants. By filter it makes a job.
func (c choice) run(ctx context.Context, app *App, store *sql.Store, kind sql.JobKind, change changeFunc) error {
	if len(c.IDs) == 0 {
		return c.start(ctx, app, store, kind, c.filter())
	}
	ids, err := parseIDs(c.IDs)
	if err != nil {
		return err
	}
	size := changeBatch
	limiter := rate.NewLimiter(rate.Inf, size)
	if c.Rate > 0 {
		size = min(max(int(c.Rate/5), 1), size)
		limiter = rate.NewLimiter(rate.Limit(c.Rate), size)
	}
	failed := 0
	for begin := 0; begin < len(ids); begin += size {
		batch := ids[begin:min(begin+size, len(ids))]
		if err := limiter.WaitN(ctx, len(batch)); err != nil {
			return ctx.Err()
		}
		effects, err := insist(ctx, batch, change)
		if err != nil {
			return err
		}
		n, err := c.print(app.Stdout, batch, effects)
		if failed += n; err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%s: %d of %d messages failed", kind, failed, len(ids))
	}
	return nil
}

func (c choice) print(w io.Writer, ids []relay.ID, effects []sql.Effect) (failed int, err error) {
	for i, id := range ids {
		if !effects[i].Succeeded() {
			failed++
		}
		if c.JSON {
			err = printJSON(w, changed{ID: id.String(), Result: effects[i]})
		} else {
			_, err = fmt.Fprintf(w, "%s  %s\n", id, effects[i])
		}
		if err != nil {
			return failed, err
		}
	}
	return failed, nil
}

// insist changes messages, and tries those again whose rows somebody else holds, for a
// while.
func insist(ctx context.Context, ids []relay.ID, change changeFunc) ([]sql.Effect, error) {
	effects, err := change(ctx, ids)
	for try := 0; err == nil && try < lockedTries; try++ {
		var locked []relay.ID
		var at []int
		for i, e := range effects {
			if e == sql.EffectLocked {
				locked, at = append(locked, ids[i]), append(at, i)
			}
		}
		if len(locked) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return effects, ctx.Err()
		case <-time.After(lockedWait):
		}
		var again []sql.Effect
		again, err = change(ctx, locked)
		for i, e := range again {
			effects[at[i]] = e
		}
	}
	return effects, err
}

func parseIDs(texts []string) (ids []relay.ID, err error) {
	seen := make(map[relay.ID]bool, len(texts))
	for _, text := range texts {
		id, err := relay.ParseID(text)
		if err != nil {
			return nil, err
		}
		if !seen[id] {
			ids = append(ids, id)
		}
		seen[id] = true
	}
	return ids, nil
}
