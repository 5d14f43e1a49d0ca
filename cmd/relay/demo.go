package main

import (
	"context"
	"errors"
	"io"
	"time"

	"relay/demo"
)

// DemoCmd is `relay demo`.
type DemoCmd struct {
	For        time.Duration `name:"for" help:"Close the shop after this time, wait for what is on its way, and fail if a message was lost or should not have come."`
	Rate       int           `name:"rate" default:"100" help:"Orders per second."`
	NoRabbitMQ bool          `name:"no-rabbitmq" help:"Leave RabbitMQ out even if it is installed."`
}

// Validate judges the flags. It is called by kong.
func (c DemoCmd) Validate() error {
	switch {
	case c.Rate < 1:
		return errors.New("--rate: at least 1 order per second")
	case c.For < 0:
		return errors.New("--for: a time that has passed already")
	}
	return nil
}

// Run shows the relay at work on servers of its own. It reads nothing from the
// environment, and runs the commands that a person would run.
func (c DemoCmd) Run(ctx context.Context, app *App) error {
	return demo.Run(ctx, demo.Config{
		Rate: c.Rate, For: c.For, NoRabbit: c.NoRabbitMQ, Out: app.Stdout,
		Relay: func(ctx context.Context, env map[string]string, log io.Writer, args ...string) error {
			return execute(ctx, &App{Stdout: io.Discard, Stderr: log, Env: env}, args)
		},
	})
}
