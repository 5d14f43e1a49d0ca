package main

import (
	"io"
	"log/slog"
	"maps"
	"strings"
)

// App is what every command gets from the process that it runs in.
type App struct {
	Stdin  io.Reader // what a command is asked to read; nil where none does
	Stdout io.Writer // results
	Stderr io.Writer // the log, and the one line of an error
	// Env holds the variables of the environment.
	Env map[string]string
}

// appKey is the key under which the context of a command holds the App.
type appKey struct{}

// with returns the App with another value of a variable.
func (a *App) with(name, value string) *App {
	other := *a
	other.Env = maps.Clone(a.Env)
	if other.Env == nil {
		other.Env = map[string]string{}
	}
	other.Env[name] = value
	return &other
}

// environment turns the NAME=value lines of os.Environ into a map.
func environment(lines []string) map[string]string {
	env := make(map[string]string, len(lines))
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	return env
}

// Configure reads the configuration and makes the logger that it asks for. Each unknown
// RELAY_… variable is logged as a warning, also where the configuration is refused: a
// misspelt name may be why a variable is missing.
func (a *App) Configure() (Config, *slog.Logger, error) {
	c, err := ReadConfig(a.Env)
	log := newLogger(a.Stderr, c.LogLevel, c.LogFormat)
	for _, u := range unknownVariables(a.Env) {
		log.Warn("unknown variable in the environment", "name", u.Name, "nearest", u.Nearest)
	}
	if len(c.DroppedParameters) > 0 {
		log.Warn("parameters of the database URL mean nothing to the relay and are left out; remove them there", "names", strings.Join(c.DroppedParameters, " "))
	}
	return c, log, err
}

// newLogger returns a logger that writes lines of the given format. Empty means LogText.
func newLogger(w io.Writer, level slog.Level, format LogFormat) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
