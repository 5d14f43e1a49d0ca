package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// RunCmd is `relay run`.
type RunCmd struct {
	NoMigrate bool
	JSON      bool
}

func (c *RunCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "run", Short: "Deliver messages until told to stop.", Args: exactly(),
		Long:        "Deliver messages until told to stop (SIGTERM, SIGINT). What is under way has RELAY_SHUTDOWN_GRACE to end.",
		Example:     "  RELAY_DATABASE_URL=postgres://relay@db/shop RELAY_DEFAULT_DESTINATION=https://shop.example/hook relay run",
		Annotations: map[string]string{annotationVariables: variablesHelp(tableWidth)},
	}
	cmd.Flags().BoolVar(&c.NoMigrate, "no-migrate", false, "Do not bring the schema to this program's version first.")
	jsonFlag(cmd, &c.JSON, "Log lines of JSON, as RELAY_LOG_FORMAT=json does.")
	return cmd
}

// Run delivers messages until the process is told to stop.
func (c *RunCmd) Run(ctx context.Context, app *App) error {
	if c.JSON {
		app = app.with("RELAY_LOG_FORMAT", string(LogJSON))
	}
	config, log, err := app.Configure()
	if err != nil {
		return err
	}
	limitMemory(config)
	return serve(ctx, config, log, !c.NoMigrate)
}

// prepare brings the schema to this program's version, or checks that it is there.
func (s *service) prepare(ctx context.Context, migrate bool) error {
	if migrate {
		from, to, err := s.store.MigrateReporting(ctx, reportSteps(s.log))
		if err == nil && from != to {
			s.log.Info("migrated the schema", "from", from, "to", to)
		}
		return err
	}
	have, need, err := s.store.SchemaVersion(ctx)
	if err == nil && have != need {
		err = fmt.Errorf("the schema relay is at version %d, this program needs %d: run `relay migrate`", have, need)
	}
	return err
}
