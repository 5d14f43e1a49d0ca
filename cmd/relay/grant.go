package main

import (
	"context"
	"fmt"
)

// GrantCmd is `relay grant ROLE`.
type GrantCmd struct {
	Role  string `arg:"" help:"Role that an application connects as."`
	Inbox bool   `help:"Let the role call relay.receive() instead."`
}

// Run gives an application's role what it needs to insert messages and no more; with
// --inbox what it needs to receive each of them once.
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
	grant, may := store.Grant, "insert messages into relay.outbox"
	if c.Inbox {
		grant, may = store.GrantInbox, "call relay.receive()"
	}
	if err := grant(ctx, c.Role); err != nil {
		return err
	}
	_, err = fmt.Fprintf(app.Stdout, "role %s may %s\n", c.Role, may)
	return err
}
