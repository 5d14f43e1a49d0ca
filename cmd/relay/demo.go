package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"
)

// DemoCmd is `relay demo`.
type DemoCmd struct {
	For        time.Duration
	Rate       int
	NoRabbitMQ bool
	JSON       bool
}

func (c *DemoCmd) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "demo", Short: "Show the relay at work on throw-away servers; needs no configuration.", Args: exactly(),
		Example: "  relay demo\n  relay demo --for 20s --rate 500",
	}
	spanFlag(cmd, &c.For, "for", 0, "Close the shop after this `SPAN`, wait for what is on its way, and fail if a message was lost or should not have come.")
	cmd.Flags().IntVar(&c.Rate, "rate", 100, "Orders per second.")
	cmd.Flags().BoolVar(&c.NoRabbitMQ, "no-rabbitmq", false, "Leave RabbitMQ out even if it is installed.")
	jsonFlag(cmd, &c.JSON, "Print JSON at the end instead of the display.")
	return cmd
}

// Validate judges the flags.
func (c *DemoCmd) Validate() error {
	switch {
	case c.Rate < 1:
		return errors.New("--rate: at least 1 order per second")
	case c.For < 0:
		return errors.New("--for: a time that has passed already")
	}
	return nil
}
