package main

import (
	"context"
	"errors"
)

// Run fails: the demo starts servers as processes of Unix, and takes them along when it ends.
func (c *DemoCmd) Run(context.Context, *App) error {
	return errors.New("relay demo runs on Linux and macOS alone; run it in the Windows Subsystem for Linux or in a container. All other commands work on Windows")
}
