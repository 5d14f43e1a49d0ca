package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"relay/operate"
	"relay/sql"
)

// connect connects once to the configured database, and returns what a person can do there and what ends the
// connection. Errors come as the command line has them.
func connect(ctx context.Context, app *App) (*operate.Service, func(), error) {
	store, err := dialStore(ctx, app)
	if err != nil {
		return nil, nil, err
	}
	return operate.New(store), store.Close, nil
}

// dialStore connects once to the configured database. The caller closes the store.
func dialStore(ctx context.Context, app *App) (*sql.Store, error) {
	config, _, err := app.Configure()
	if err != nil {
		return nil, err
	}
	return config.Database().Open(ctx, 2)
}

// because is the reason that a person gives for a change.
type because struct{ Reason string }

func (b *because) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&b.Reason, "reason", "", "Why, as `TEXT` for the audit.")
}

// actor is the user of the operating system who runs the command.
func (b because) actor() operate.Actor {
	a := operate.Actor{Name: "unknown", Role: operate.RoleCLI, Reason: b.Reason}
	if u, err := user.Current(); err == nil {
		a.Name = u.Username
	}
	return a
}

// printJSON prints a value on one line.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// printAs prints a value as JSON, or its text.
func printAs(w io.Writer, asJSON bool, value any, text string) error {
	if asJSON {
		return printJSON(w, value)
	}
	_, err := io.WriteString(w, text)
	return err
}

// options are the options of fields whose names differ.
var options = map[string]string{
	"name": "NAME", "headers": "--header", "ids": "ID", "id": "ID", "cursor": "--after",
	"ack_timeout_seconds": "--ack-timeout", "timeout_seconds": "--timeout", "backoff_seconds": "--backoff",
}

// optionOf names the option of a field of a request.
func optionOf(field string) string {
	if option, differs := options[field]; differs {
		return option
	}
	return "--" + strings.ReplaceAll(field, "_", "-")
}

// inOptions tells an error of an operation as the command line has it: fields by their options, and the command that
// shows more.
func inOptions(err error) error {
	var own *operate.Error
	if !errors.As(err, &own) {
		return err
	}
	switch own.Code {
	case operate.CodeInvalid:
		if own.Field == "" {
			return err
		}
		var named []string
		for field := range strings.SplitSeq(own.Field, ", ") {
			named = append(named, optionOf(field))
		}
		return fmt.Errorf("%s: %s", strings.Join(named, ", "), own.Text)
	case operate.CodeNoSubscription:
		return fmt.Errorf("%w: relay subscriptions list shows them all", err)
	case operate.CodeNoKey:
		return fmt.Errorf("%w: relay keys list shows those that do", err)
	case operate.CodeOutstanding:
		return fmt.Errorf("%w with --force", err)
	}
	return err
}

// plural is a number of things.
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if stem, found := strings.CutSuffix(thing, "y"); found {
		return strconv.FormatInt(n, 10) + " " + stem + "ies"
	}
	return strconv.FormatInt(n, 10) + " " + thing + "s"
}

// counted is a number of things, as far as it is known.
func counted(c operate.Count, thing string) string {
	text := plural(c.N, thing)
	switch c.Precision {
	case operate.AtLeast:
		return "at least " + text
	case operate.About:
		return "about " + text
	}
	return text
}

// upTo is a count in a table.
func upTo(c operate.Count) string {
	text := strconv.FormatInt(c.N, 10)
	switch c.Precision {
	case operate.AtLeast:
		return text + "+"
	case operate.About:
		return "~" + text
	}
	return text
}

// plainWord is what a shell takes as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./@%+=-]+$`)

// shellWord writes a value so that a shell takes it for one word.
func shellWord(value string) string {
	if plainWord.MatchString(value) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
