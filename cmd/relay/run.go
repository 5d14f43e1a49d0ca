package main

import (
	"context"
	"fmt"
)

// RunCmd is `relay run`.
type RunCmd struct {
	NoMigrate bool `name:"no-migrate" help:"Do not bring the schema to this program's version first."`
}

// Run delivers messages until the process is told to stop.
func (c RunCmd) Run(ctx context.Context, app *App) error {
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
