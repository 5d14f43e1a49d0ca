// Command relay delivers the rows of PostgreSQL's transactional outbox relay.outbox to
// HTTP endpoints and RabbitMQ. It is configured by environment variables; see Config.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"relay/sql"
)

// Exit codes besides 0, which stands for success alone. A command that a signal ended
// exits with 128 and the signal's number, as shells have it.
const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	// net/http prints through the global logger what an endpoint sent unasked, which may
	// echo a payload. Our own log is another one.
	log.SetOutput(io.Discard)
	ctx, stop := untilSignal(context.Background(), stopSignals(), os.Exit)
	app := &App{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: environment(os.Environ())}
	code := realMain(ctx, app, os.Args[1:])
	stop()
	os.Exit(code)
}

// realMain runs one command and returns the exit code. An error is one line on standard error.
func realMain(ctx context.Context, app *App, args []string) int {
	err := execute(ctx, app, args)
	if err == nil {
		return 0
	}
	code := exitFailure
	var stopped stopSignal
	if errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &stopped) {
		err, code = stopped, stopped.exitCode()
	}
	if errors.As(err, new(usageError)) {
		code = exitUsage
	}
	printError(app.Stderr, sql.Plain(sql.ExplainPooler(sql.ExplainStandby(err))))
	return code
}

func printError(w io.Writer, err error) {
	fmt.Fprintln(w, "relay:", errorLine(err))
}

// errorLine is an error on one line.
func errorLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}
