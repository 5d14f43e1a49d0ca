package main

import (
	"context"
	"fmt"
)

// GrantCmd is `relay grant ROLE`.
type GrantCmd struct {
	Role string `arg:"" help:"Role that an application connects as."`
}

// Run gives an application's role what it needs to insert messages and no more.
func (c GrantCmd) Run(ctx context.Context, app *App) error {
	config, log, err := app.Configure()
	if err != nil {
		return err
	}
	store, err := openStore(ctx, config, log)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.Grant(ctx, c.Role); err != nil {
		return err
	}
	_, err = fmt.Fprintf(app.Stdout, "role %s may insert messages into relay.outbox\n", c.Role)
	return err
}
