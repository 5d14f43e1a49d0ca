package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"relay/sql"
)

// GrantCmd is `relay grant ROLE`.
type GrantCmd struct {
	Role          string   `arg:"" help:"Role that an application connects as."`
	Inbox         bool     `help:"Let the role call relay.receive(), for the consumers named, or for every consumer if none is."`
	Consumers     []string `arg:"" optional:"" name:"consumer" help:"With --inbox: consumers for which the role receives, and no others."`
	NoDestination bool     `help:"Do not let the role say where its messages go."`
}

// Validate refuses what belongs to the other use of the command.
func (c GrantCmd) Validate() error {
	switch {
	case len(c.Consumers) > 0 && !c.Inbox:
		return errors.New("consumers are named with --inbox only")
	case c.NoDestination && c.Inbox:
		return errors.New("--no-destination is about sending, --inbox about receiving: run the command once for each")
	}
	return nil
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
	may, err := c.grant(ctx, store)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(app.Stdout, "role %s may %s\n", c.Role, may)
	return err
}

// grant returns what the role may do now.
func (c GrantCmd) grant(ctx context.Context, store *sql.Store) (may string, err error) {
	switch {
	case c.NoDestination:
		return "insert messages without a destination into relay.outbox", store.GrantWithoutDestination(ctx, c.Role)
	case !c.Inbox:
		return "insert messages into relay.outbox", store.Grant(ctx, c.Role)
	case len(c.Consumers) == 0:
		return "call relay.receive() for every consumer", store.GrantInbox(ctx, c.Role)
	}
	return "call relay.receive() for " + strings.Join(c.Consumers, ", "), store.GrantInbox(ctx, c.Role, c.Consumers...)
}
