package main

import (
	"context"

	"github.com/alecthomas/kong"
)

// CLI is the command line: one field per command, in the order of the help. Each command
// is a struct in a file of its own with a method Run(ctx context.Context, app *App) error,
// of which it may leave out either.
type CLI struct {
	Migrate       MigrateCmd       `cmd:"" help:"Create the schema relay, or bring it to this program's version."`
	Grant         GrantCmd         `cmd:"" help:"Let an application's role insert messages."`
	Run           RunCmd           `cmd:"" help:"Deliver messages until told to stop."`
	Adopt         AdoptCmd         `cmd:"" help:"Have relays deliver from a database that is a copy of another one."`
	Send          SendCmd          `cmd:"" help:"Insert one message through the outbox."`
	Messages      MessagesCmd      `cmd:"" help:"List, show, retry, copy and cancel messages."`
	Subscriptions SubscriptionsCmd `cmd:"" help:"List, set, pause, resume, test, replay and delete subscriptions."`
	Keys          KeysCmd          `cmd:"" help:"List the keys that wait, and skip or retry what they wait for."`
	Jobs          JobsCmd          `cmd:"" help:"List, show, stop and resume what goes on in the background."`
	Status        StatusCmd        `cmd:"" help:"Show on one screen how relays, messages and deliveries stand."`
	Demo          DemoCmd          `cmd:"" help:"Show the relay at work on throw-away servers; needs no configuration."`
	Doctor        DoctorCmd        `cmd:"" help:"Check all that the relay needs, and name the command that mends what is wrong."`
	Secret        SecretCmd        `cmd:"" help:"Print the secrets with which a receiver checks what rows send to a destination of their own."`
	Version       VersionCmd       `cmd:"" help:"Print the version of this program."`
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

// Error returns what is wrong with the command line and where to read what is right.
func (e usageError) Error() string { return e.error.Error() + " (see relay --help)" }

// execute parses the command line and runs its command. Asking for help is a success.
func execute(ctx context.Context, app *App, args []string) error {
	helped := false
	parser, err := kong.New(&CLI{},
		kong.Name("relay"),
		kong.Description("Delivers the rows of PostgreSQL's transactional outbox to HTTP endpoints and RabbitMQ. Configured by environment variables; README lists them."),
		kong.Writers(app.Stdout, app.Stderr),
		kong.Exit(func(int) { helped = true }), // kong exits for --help alone, and goes on if it cannot
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(app),
	)
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	switch {
	case helped:
		return nil
	case err != nil:
		return usageError{err}
	}
	return command.Run()
}
