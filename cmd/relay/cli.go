package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// runner is one command: a struct in a file of its own, whose fields are its flags and arguments.
type runner interface {
	// command returns the command line of the command, with the flags bound to the fields.
	command() *cobra.Command
	// Run does what the command is for, once the fields are read.
	Run(ctx context.Context, app *App) error
}

// validator is a command whose flags exclude or need each other.
type validator interface {
	// Validate judges the fields together.
	Validate() error
}

// commands is the command line: all commands, in the order of the help.
func commands(app *App) *cobra.Command {
	root := &cobra.Command{
		Use:     "relay",
		Short:   "Deliver the rows of PostgreSQL's transactional outbox to HTTP endpoints and RabbitMQ.",
		Long:    "Deliver the rows of PostgreSQL's transactional outbox to HTTP endpoints and RabbitMQ.\nConfigured by environment variables: relay run --help lists them.",
		Example: "  relay demo\n  relay migrate && relay run",
		Version: readBuild().String(),
	}
	root.SetVersionTemplate("{{.Version}}\n")
	app.add(root, new(MigrateCmd), new(GrantCmd), new(RunCmd), new(AdoptCmd), new(SendCmd))
	app.group(root, "messages", "List, show, retry, copy and cancel messages.",
		new(MessagesListCmd), new(MessagesShowCmd), new(MessagesRetryCmd), new(MessagesCopyCmd), new(MessagesCancelCmd))
	app.group(root, "subscriptions", "List, set, pause, resume, test, replay and delete subscriptions.",
		new(SubscriptionsListCmd), new(SubscriptionsSetCmd), new(SubscriptionsPauseCmd), new(SubscriptionsResumeCmd),
		new(SubscriptionsTestCmd), new(SubscriptionsReplayCmd), new(SubscriptionsDeleteCmd))
	app.group(root, "keys", "List the keys that wait, and skip or retry what they wait for.", new(KeysListCmd), new(KeysSkipCmd), new(KeysRetryCmd))
	app.group(root, "jobs", "List, show, stop and resume what goes on in the background, and set how fast.",
		new(JobsListCmd), new(JobsShowCmd), new(JobsStopCmd), new(JobsResumeCmd), new(JobsRateCmd))
	app.group(root, "deliveries", "List what a subscriber was sent, and acknowledge in its place.", new(DeliveriesListCmd), new(DeliveriesAcknowledgeCmd))
	app.group(root, "failures", "Group what failed by subscriber and cause, look closer, and write notes.",
		new(FailuresListCmd), new(FailuresShowCmd), new(FailuresNoteCmd))
	app.group(root, "senders", "List and show the services that send messages.", new(SendersListCmd), new(SendersShowCmd))
	app.group(root, "audit", "List the changes that people made.", new(AuditListCmd))
	app.add(root, new(StatusCmd), new(OverviewCmd), new(PulseCmd), new(DemoCmd), new(DoctorCmd), new(SecretCmd), new(HealthyCmd), new(VersionCmd))
	return root
}

// add puts commands below another one.
func (a *App) add(parent *cobra.Command, list ...runner) {
	for _, r := range list {
		cmd := r.command()
		cmd.Flags().BoolP("help", "h", false, "Show this help.")
		cmd.RunE = func(cmd *cobra.Command, _ []string) error {
			if v, judges := r.(validator); judges {
				if err := v.Validate(); err != nil {
					return usageError{err, cmd.CommandPath()}
				}
			}
			return inOptions(r.Run(cmd.Context(), a))
		}
		parent.AddCommand(cmd)
	}
}

// nearEnough is how many letters a command may differ from the one that is suggested instead.
const nearEnough = 2

// group puts commands below one that does nothing by itself.
func (a *App) group(parent *cobra.Command, name, short string, list ...runner) {
	cmd := &cobra.Command{Use: name, Short: short, Args: noCommand, RunE: needsCommand, SuggestionsMinimumDistance: nearEnough}
	a.add(cmd, list...)
	parent.AddCommand(cmd)
}

// noCommand refuses the first word after a group, which is none of its commands, and names the nearest.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %s", quote(args[0]))
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{errors.New(text), cmd.CommandPath()}
}

// needsCommand is what a group does by itself.
func needsCommand(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" && c.Name() != "completion" {
			names = append(names, c.Name())
		}
	}
	return usageError{fmt.Errorf("a command is missing: %s", strings.Join(names, ", ")), cmd.CommandPath()}
}

// usageError is a command line that makes no sense.
type usageError struct {
	error
	command string // as it is called
}

// Error returns what is wrong with the command line and where to read what is right.
func (e usageError) Error() string { return e.error.Error() + " (see " + e.command + " --help)" }

// execute parses the command line and runs its command. Asking for help is a success.
func execute(ctx context.Context, app *App, args []string) error {
	root := commands(app)
	root.Args, root.RunE = noCommand, needsCommand
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SuggestionsMinimumDistance = nearEnough
	root.SetOut(app.Stdout)
	root.SetErr(app.Stderr)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { printHelp(app, cmd) })
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError{flagError(err), cmd.CommandPath()} })
	root.SetArgs(append([]string{}, args...)) // nil would stand for the arguments of the process
	return root.ExecuteContext(context.WithValue(ctx, appKey{}, app))
}

// command returns the command line of relay doctor.
func (c *DoctorCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check all that the relay needs, and name the command that mends what is wrong.", Args: exactly(),
		Example: "  relay doctor\n  relay doctor --json",
	}
	jsonFlag(cmd, &c.JSON, "Print JSON.")
	return cmd
}
