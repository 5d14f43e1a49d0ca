package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// passwordLimit bounds a run of the command: an attempt to connect takes at most 10 seconds.
	passwordLimit = 8 * time.Second
	// passwordMost is how many bytes of what the command prints are kept: tokens have about 2,000.
	passwordMost = 16 << 10
	// complaintMost is how much of what it prints on standard error is shown.
	complaintMost = 500
)

// passwordCommand is the command of RELAY_DATABASE_PASSWORD_COMMAND. Connections that are opened
// at the same time share one run of it, since the programs of clouds take a second of CPU.
type passwordCommand struct {
	line  string
	limit time.Duration
	runs  singleflight.Group
}

// password returns what the command prints now.
func (c *passwordCommand) password(ctx context.Context) (string, error) {
	run := c.runs.DoChan("", func() (any, error) { return c.run(context.WithoutCancel(ctx)) })
	select {
	case r := <-run:
		return r.Val.(string), r.Err
	case <-ctx.Done():
		return "", fmt.Errorf("RELAY_DATABASE_PASSWORD_COMMAND: %w", ctx.Err())
	}
}

// run runs the command and returns what it prints, without the end of the line. The error holds
// what it printed on standard error, and never what it printed on standard output.
func (c *passwordCommand) run(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	out, complaint := &firstBytes{most: passwordMost}, &firstBytes{most: complaintMost}
	cmd := shell(ctx, c.line)
	cmd.Stdout, cmd.Stderr = out, complaint
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	password := strings.TrimRight(string(out.kept), "\r\n")
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("it did not end within %s", c.limit)
	case err == nil && password == "":
		err = errors.New("it printed nothing on standard output")
	case err == nil && (out.cut || strings.ContainsAny(password, "\r\n\x00")):
		err = errors.New("it printed more than one line on standard output")
	case err == nil:
		return password, nil
	}
	if said := strings.Join(strings.Fields(string(complaint.kept)), " "); said != "" {
		return "", fmt.Errorf("RELAY_DATABASE_PASSWORD_COMMAND: %w: %s", err, said)
	}
	return "", fmt.Errorf("RELAY_DATABASE_PASSWORD_COMMAND: %w", err)
}

// firstBytes keeps the first bytes that are written to it.
type firstBytes struct {
	kept []byte
	most int
	cut  bool
}

// Write implements io.Writer and never fails.
func (f *firstBytes) Write(p []byte) (int, error) {
	room := f.most - len(f.kept)
	f.cut = f.cut || len(p) > room
	f.kept = append(f.kept, p[:min(len(p), room)]...)
	return len(p), nil
}
