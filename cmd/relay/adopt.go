package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"relay/sql"
)

// AdoptCmd is `relay adopt`.
type AdoptCmd struct {
	CancelOutstanding bool `name:"cancel-outstanding" help:"First cancel every message that has not ended, and stop the jobs that run."`
}

// cancelledByAdopt is the last error of what --cancel-outstanding cancels.
const cancelledByAdopt = "cancelled by relay adopt"

// Run has relays deliver from a copy of a database. Relays that wait for it go on within a second.
func (c AdoptCmd) Run(ctx context.Context, app *App) error {
	store, err := dialStore(ctx, app)
	if err != nil {
		return err
	}
	defer store.Close()
	i, err := store.Identity(ctx)
	if err != nil {
		return err
	}
	home := i.Stored.Database != 0 && i.Err() == nil
	if home && c.CancelOutstanding {
		return fmt.Errorf("nothing was cancelled: this database (%s) is no copy, and its messages are delivered from here", i.Actual)
	}
	if home {
		_, err = fmt.Fprintf(app.Stdout, "nothing to do: relays deliver from this database (%s) already\n", i.Actual)
		return err
	}
	if c.CancelOutstanding {
		if err := cancelEverything(ctx, app, store); err != nil {
			return err
		}
	}
	if i, err = store.Adopt(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintf(app.Stdout, "adopted: relays deliver from this database (%s) now\n", i.Actual)
	return err
}

// cancelEverything stops the jobs and cancels what has not ended, batch by batch.
func cancelEverything(ctx context.Context, app *App, store *sql.Store) error {
	jobs, err := store.StopJobs(ctx)
	if err != nil {
		return err
	}
	total := 0
	for tries := 0; ; {
		n, found, err := store.CancelEverything(ctx, cancelledByAdopt, changeBatch)
		total += n
		switch {
		case err != nil:
			return fmt.Errorf("%w; %d messages were cancelled, and the copy is not adopted: run the command again", err, total)
		case found == 0:
			_, err = fmt.Fprintf(app.Stdout, "%d messages cancelled, %d jobs stopped\n", total, jobs)
			return err
		case n > 0:
			tries = 0
			continue
		}
		if tries++; tries > lockedTries {
			return fmt.Errorf("other sessions hold messages that have not ended: end those sessions and run the command again; %d messages were cancelled, and the copy is not adopted", total)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockedWait):
		}
	}
}

// adoptedWithin is how soon a relay that waits hears of relay adopt.
const adoptedWithin = time.Second

// settle returns when the database is the one whose messages this relay delivers. In a copy it waits for a person,
// unless RELAY_ADOPT says otherwise; the first relay that runs on a database makes it its own.
func (s *service) settle(ctx context.Context) error {
	for {
		err := s.persist(ctx, func() (err error) { s.identity, err = s.store.Settle(ctx); return err })
		switch copied := errors.As(err, new(sql.CopyError)); {
		case err == nil && s.config.Adopt == AdoptAuto:
			return nil
		case err == nil:
			s.store.Guard(s.judge)
			return nil
		case copied && s.config.Adopt == AdoptAuto:
			if err := s.adopt(ctx); err != nil {
				return err
			}
			continue
		case !copied:
			return err
		}
		s.judge(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(adoptedWithin):
		}
	}
}

// judge notes whether the database has turned out to be a copy, and says so once.
func (s *service) judge(err error) {
	var copied sql.CopyError
	if !errors.As(err, &copied) {
		s.copied.Store(nil)
		return
	}
	if s.copied.Swap(&copied) == nil {
		s.log.Error("this database is a copy of another one, so the relay sends and changes nothing here",
			"here", copied.Actual, "copy_of", copied.Stored, "mend", sql.MendCopy)
	}
}

// adopt is relay adopt without a person.
func (s *service) adopt(ctx context.Context) error {
	return s.persist(ctx, func() error {
		i, err := s.store.Adopt(ctx)
		if err == nil {
			s.log.Warn("this database is a copy of another one, and the relay delivers from it because RELAY_ADOPT is auto",
				"here", i.Actual, "copy_of", i.Stored)
		}
		return err
	})
}

// probeIdentity says in /readyz why nothing is sent from a copy.
func (s *service) probeIdentity(ctx context.Context) (string, error) {
	if copied := s.copied.Load(); copied != nil {
		return "", *copied
	}
	return s.whenWired(func() (string, error) { return s.identity.String(), nil })(ctx)
}
