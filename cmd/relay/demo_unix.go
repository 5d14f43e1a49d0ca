//go:build !windows

package main

import (
	"context"
	"errors"
	"io"

	"relay/demo"
)

// Run shows the relay at work on servers of its own. It reads nothing from the
// environment, and runs the commands that a person would run.
func (c *DemoCmd) Run(ctx context.Context, app *App) error {
	config := demo.Config{
		Rate: c.Rate, For: c.For, NoRabbit: c.NoRabbitMQ, Out: app.Stdout,
		Relay: func(ctx context.Context, env map[string]string, log io.Writer, args ...string) error {
			return execute(ctx, &App{Stdout: io.Discard, Stderr: log, Env: env}, args)
		},
	}
	if !c.JSON {
		return demo.Run(ctx, config)
	}
	var printed error
	config.Out, config.Done = io.Discard, func(r demo.Report) { printed = printJSON(app.Stdout, r) }
	return errors.Join(demo.Run(ctx, config), printed)
}
