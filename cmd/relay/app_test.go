package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
)

func TestConfigureMakesTheLogger(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pairs []string
		want  []string // the messages that are logged
		json  bool
	}{
		"by default":     {nil, []string{"info", "warn"}, false},
		"debug, JSON":    {[]string{"RELAY_LOG_LEVEL", "debug", "RELAY_LOG_FORMAT", "json"}, []string{"debug", "info", "warn"}, true},
		"warnings, text": {[]string{"RELAY_LOG_LEVEL", "warn", "RELAY_LOG_FORMAT", "text"}, []string{"warn"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			_, log, err := (&App{Stderr: &b, Env: with(tt.pairs...)}).Configure()
			if err != nil {
				t.Fatal(err)
			}
			log.Debug("debug")
			log.Info("info")
			log.Warn("warn")
			lines := strings.Split(strings.TrimSpace(b.String()), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("%q, want lines for %v", lines, tt.want)
			}
			for i, line := range lines {
				if !strings.Contains(line, tt.want[i]) || json.Valid([]byte(line)) != tt.json {
					t.Errorf("line %q, want %s, JSON %v", line, tt.want[i], tt.json)
				}
			}
		})
	}
}

func TestConfigureWarnsOfUnknownNames(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	_, _, err := (&App{Stderr: &b, Env: map[string]string{"RELAY_DATABSE_URL": "postgres://relay:HUSH@db/shop", "RELAY_PORT": "tcp://10.0.0.1:80"}}).Configure()
	if err == nil || !strings.HasPrefix(err.Error(), "RELAY_DATABASE_URL: not set") {
		t.Errorf("error %v", err)
	}
	line := b.String()
	if strings.Count(line, "\n") != 1 || !strings.Contains(line, "level=WARN") ||
		!strings.Contains(line, "name=RELAY_DATABSE_URL nearest=RELAY_DATABASE_URL") {
		t.Errorf("logged %q", line)
	}
	leaked(t, "the warning", line)
}

func TestNewLoggerOfTheZeroConfig(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	newLogger(&b, slog.LevelInfo, "").Info("x")
	if !strings.Contains(b.String(), "level=INFO msg=x") {
		t.Errorf("logged %q", b.String())
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	env := environment([]string{"A=1", "B=x=y", "C="})
	if env["A"] != "1" || env["B"] != "x=y" || len(env) != 3 {
		t.Errorf("%v", env)
	}
}
