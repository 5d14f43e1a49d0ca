package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"relay"
	"relay/sql"
)

const (
	// changeBatch is the most messages that one transaction changes.
	changeBatch = 500
	// changeMost is the most messages that one command changes by filter.
	changeMost = 1_000_000
	// A row that another session holds is tried so many times more, so far apart.
	lockedTries = 10
	lockedWait  = 200 * time.Millisecond
)

// choice says which messages a command changes, and how fast.
type choice struct {
	selection
	IDs  []string `arg:"" optional:"" name:"id" help:"Message ids. None: by filter, which needs --status."`
	Yes  bool     `name:"yes" short:"y" help:"Do not ask before messages are changed by filter."`
	Rate int      `name:"rate" help:"Messages per second, at most. 0: no limit."`
	JSON bool     `name:"json" help:"Print a line of JSON for each message."`
}

// Validate judges what excludes each other. It is called by kong.
func (c choice) Validate() error {
	switch {
	case len(c.IDs) > 0 && !c.empty():
		return errors.New("give message ids or a filter, not both")
	case len(c.IDs) == 0 && c.Status == "":
		return errors.New("give message ids, or a filter with --status")
	case c.Rate < 0:
		return errors.New("--rate: below 0")
	}
	return nil
}

// changeFunc changes messages whose status is among from.
type changeFunc func(ctx context.Context, ids []relay.ID, from []relay.MessageStatus) ([]sql.Effect, error)

// changed is what became of one message.
type changed struct {
	ID     string     `json:"id"`
	Result sql.Effect `json:"result"`
}

// run changes what was chosen, prints a line for each message, and fails if one of them did
// not become what the person wants. By filter only messages are changed that still have the
// status asked for.
func (c choice) run(ctx context.Context, app *App, store *sql.Store, verb string, from []relay.MessageStatus, change changeFunc) error {
	ids, err := parseIDs(c.IDs)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		from = []relay.MessageStatus{c.Status}
		if ids, err = c.choose(ctx, app, store, verb); err != nil {
			return err
		}
	}
	size := changeBatch
	limiter := rate.NewLimiter(rate.Inf, size)
	if c.Rate > 0 {
		size = min(max(c.Rate/5, 1), size)
		limiter = rate.NewLimiter(rate.Limit(c.Rate), size)
	}
	failed := 0
	for begin := 0; begin < len(ids); begin += size {
		batch := ids[begin:min(begin+size, len(ids))]
		if err := limiter.WaitN(ctx, len(batch)); err != nil {
			return ctx.Err()
		}
		effects, err := insist(ctx, batch, from, change)
		if err != nil {
			return err
		}
		n, err := c.print(app.Stdout, batch, effects)
		if failed += n; err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%s: %d of %d messages failed", verb, failed, len(ids))
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
func insist(ctx context.Context, ids []relay.ID, from []relay.MessageStatus, change changeFunc) ([]sql.Effect, error) {
	effects, err := change(ctx, ids, from)
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
		again, err = change(ctx, locked, from)
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

// choose finds the messages of the filter and has the person agree. The very messages that
// were counted are changed, no later ones.
func (c choice) choose(ctx context.Context, app *App, store *sql.Store, verb string) ([]relay.ID, error) {
	found, err := search(ctx, store, c.filter(), relay.ID{}, changeMost)
	if err != nil {
		return nil, err
	}
	ids := make([]relay.ID, len(found.Messages))
	for i, m := range found.Messages {
		ids[i] = m.ID
	}
	count := fmt.Sprintf("%d %s messages match", len(ids), c.Status)
	if found.More {
		count += ", and there are more, for another time"
	}
	fmt.Fprintln(app.Stderr, count)
	if len(ids) == 0 || c.Yes {
		return ids, nil
	}
	if !terminal(app.Stdin) {
		return nil, fmt.Errorf("nothing was changed: say --yes to %s them", verb)
	}
	fmt.Fprintf(app.Stderr, "%s them? [y/N] ", verb)
	if !agreed(ctx, app.Stdin) {
		return nil, errors.Join(ctx.Err(), errors.New("nothing was changed"))
	}
	return ids, nil
}

// terminal reports whether there is a person to ask.
func terminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// agreed reads a line and reports whether it says yes.
func agreed(ctx context.Context, r io.Reader) bool {
	answers := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(r).ReadString('\n') // what cannot be read is no yes
		answers <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return false
	case answer := <-answers:
		return answer == "y" || answer == "yes"
	}
}
