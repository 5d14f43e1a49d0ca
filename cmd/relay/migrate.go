package main

import (
	"context"
	"fmt"
)

// MigrateCmd is `relay migrate`.
type MigrateCmd struct {
	InboxOnly bool `help:"Install relay.inbox and relay.receive() alone, for a consumer with a database of its own."`
}

// schedule is what a consumer has to run now and then. The relay never does: it cannot know
// for how long a consumer wants to tell duplicates.
const schedule = `Let cron forget now and then what was received long ago:
  psql "$RELAY_DATABASE_URL" -c "call relay.forget_received('30 days')"
`

// Run creates the schema relay or brings it to this program's version.
func (c MigrateCmd) Run(ctx context.Context, app *App) error {
	config, log, err := app.Configure()
	if err != nil {
		return err
	}
	store, err := openStore(ctx, config, log)
	if err != nil {
		return err
	}
	defer store.Close()
	migrate, what, advice := store.MigrateReporting, "the schema relay", ""
	if c.InboxOnly {
		migrate, what, advice = store.MigrateInboxReporting, "relay.inbox", schedule
	}
	from, to, err := migrate(ctx, reportSteps(log))
	if err != nil {
		return err
	}
	if from == to {
		_, err = fmt.Fprintf(app.Stdout, "%s is at version %d already\n%s", what, to, advice)
		return err
	}
	_, err = fmt.Fprintf(app.Stdout, "migrated %s from version %d to %d\n%s", what, from, to, advice)
	return err
}
