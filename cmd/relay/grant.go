package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"relay/sql"
)

// GrantCmd is `relay grant ROLE`.
type GrantCmd struct {
	Role          string
	Inbox         bool
	Consumers     []string
	NoDestination bool
	JSON          bool
}

func (c *GrantCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "grant ROLE [CONSUMER…]", Short: "Let an application's role insert messages.",
		Long: "Let an application's role insert messages; with --inbox let it receive them once, for the consumers named alone.",
		Args: arguments(1, []*string{&c.Role}, &c.Consumers), Example: "  relay grant shop\n  relay grant shop --inbox billing",
	}
	cmd.Flags().BoolVar(&c.Inbox, "inbox", false, "Let the role call relay.receive(), for the consumers named, or for every consumer if none is.")
	cmd.Flags().BoolVar(&c.NoDestination, "no-destination", false, "Do not let the role say where its messages go.")
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}

// Validate refuses what belongs to the other use of the command.
func (c *GrantCmd) Validate() error {
	switch {
	case len(c.Consumers) > 0 && !c.Inbox:
		return errors.New("consumers are named with --inbox only")
	case c.NoDestination && c.Inbox:
		return errors.New("--no-destination is about sending, --inbox about receiving: run the command once for each")
	}
	return nil
}

// granted is what a role may do now, as JSON.
type granted struct {
	Role string `json:"role"`
	May  string `json:"may"`
}

// Run gives an application's role what it needs to insert messages and no more; with
// --inbox what it needs to receive each of them once.
func (c *GrantCmd) Run(ctx context.Context, app *App) error {
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
	return printAs(app.Stdout, c.JSON, granted{c.Role, may}, fmt.Sprintf("role %s may %s\n", c.Role, may))
}

// grant returns what the role may do now.
func (c *GrantCmd) grant(ctx context.Context, store *sql.Store) (may string, err error) {
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
