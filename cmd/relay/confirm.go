package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// confirm has the person agree to something. Where there is no terminal to ask at, it fails.
func confirm(ctx context.Context, app *App, verb string) error {
	if !terminal(app.Stdin) {
		return fmt.Errorf("nothing was changed: say --yes to %s them", verb)
	}
	fmt.Fprintf(app.Stderr, "%s them? [y/N] ", verb)
	if !agreed(ctx, app.Stdin) {
		return errors.Join(ctx.Err(), errors.New("nothing was changed"))
	}
	return nil
}

// terminal reports whether there is a person to ask.
func terminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	_, is := terminalColumns(f)
	return is
}

// agreed reads a line and reports whether it says yes.
func agreed(ctx context.Context, r io.Reader) bool {
	answers := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(r).ReadString('\n') // what cannot be read is no yes
		answers <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return false
	case answer := <-answers:
		return answer == "y" || answer == "yes"
	}
}
