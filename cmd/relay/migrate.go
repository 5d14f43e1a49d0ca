package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// MigrateCmd is `relay migrate`.
type MigrateCmd struct {
	InboxOnly bool
	JSON      bool
}

func (c *MigrateCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "migrate", Short: "Create the schema relay, or bring it to this program's version.", Args: exactly(),
		Example: "  RELAY_DATABASE_URL=postgres://relay@db/shop relay migrate\n  relay migrate --inbox-only",
	}
	cmd.Flags().BoolVar(&c.InboxOnly, "inbox-only", false, "Install relay.inbox and relay.receive() alone, for a consumer with a database of its own.")
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// migrated is what migrations did, as JSON.
type migrated struct {
	What string `json:"what"`
	From int32  `json:"from"` // version
	To   int32  `json:"to"`
}

// forgetting is what a consumer has to run now and then. The relay never does: it cannot know
// for how long a consumer wants to tell duplicates.
const forgetting = `Let cron forget now and then what was received long ago:
  psql "$RELAY_DATABASE_URL" -c "call relay.forget_received('30 days')"
`

// Run creates the schema relay or brings it to this program's version.
func (c *MigrateCmd) Run(ctx context.Context, app *App) error {
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
		migrate, what, advice = store.MigrateInboxReporting, "relay.inbox", forgetting
	}
	from, to, err := migrate(ctx, reportSteps(log))
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(app.Stdout, migrated{what, from, to})
	}
	if from == to {
		_, err = fmt.Fprintf(app.Stdout, "%s is at version %d already\n%s", what, to, advice)
		return err
	}
	_, err = fmt.Fprintf(app.Stdout, "migrated %s from version %d to %d\n%s", what, from, to, advice)
	return err
}
