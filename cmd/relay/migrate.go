package main

import (
	"context"
	"fmt"
)

// MigrateCmd is `relay migrate`.
type MigrateCmd struct{}

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
	from, to, err := store.Migrate(ctx)
	if err != nil {
		return err
	}
	if from == to {
		_, err = fmt.Fprintf(app.Stdout, "the schema relay is at version %d already\n", to)
		return err
	}
	_, err = fmt.Fprintf(app.Stdout, "migrated the schema relay from version %d to %d\n", from, to)
	return err
}
