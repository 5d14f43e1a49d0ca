package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"relay/sql"
)

// AdoptCmd is `relay adopt`.
type AdoptCmd struct {
	because
	CancelOutstanding bool
	JSON              bool
}

func (c *AdoptCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "adopt", Short: "Have relays deliver from a database that is a copy of another one.", Args: exactly(),
		Example: "  relay adopt --cancel-outstanding",
	}
	cmd.Flags().BoolVar(&c.CancelOutstanding, "cancel-outstanding", false, "First cancel every message that has not ended, and stop the jobs that run.")
	c.because.flags(cmd)
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// Run has relays deliver from a copy of a database. Relays that wait for it go on within a second.
func (c *AdoptCmd) Run(ctx context.Context, app *App) error {
	service, end, err := connect(ctx, app)
	if err != nil {
		return err
	}
	defer end()
	a, err := service.Adopt(ctx, c.actor(), c.CancelOutstanding)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(app.Stdout, a)
	case a.Already:
		_, err = fmt.Fprintf(app.Stdout, "nothing to do: relays deliver from this database (%s) already\n", a.Database)
		return err
	}
	if c.CancelOutstanding {
		fmt.Fprintf(app.Stdout, "%s cancelled, %s stopped\n", plural(int64(a.Cancelled), "message"), plural(int64(a.StoppedJobs), "job"))
	}
	_, err = fmt.Fprintf(app.Stdout, "adopted: relays deliver from this database (%s) now\n", a.Database)
	return err
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
