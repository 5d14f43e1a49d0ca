package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

const olderSecret = "whsec_b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZC0="

func TestSecret(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, goodSecret+"\n"+olderSecret+"\n")
	const older = "whsec_fyB4T/uhpTkibskZYZmEGLv4YKFMZcsdLE9YeAgL9L4="
	for name, env := range map[string]map[string]string{
		"variable": {"RELAY_HTTP_SECRET": goodSecret + "," + olderSecret},
		"file":     {"RELAY_HTTP_SECRET_FILE": path},
	} {
		var out bytes.Buffer
		if err := execute(t.Context(), &App{Stdout: &out, Stderr: &out, Env: env}, []string{"secret", "https://Hooks.example:443/a/b"}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 2 || lines[1] != older || !strings.HasPrefix(lines[0], "whsec_") || lines[0] == goodSecret {
			t.Errorf("%s: printed %q, want two secrets, the second %s", name, lines, older)
		}
	}
}

func TestSecretRefuses(t *testing.T) {
	t.Parallel()
	both := map[string]string{"RELAY_HTTP_SECRET": goodSecret, "RELAY_HTTP_SECRET_FILE": "/x"}
	for _, row := range []struct {
		url  string
		env  map[string]string
		want string
	}{
		{"https://h", nil, "RELAY_HTTP_SECRET: not set"},
		{"https://h", both, "are both set"},
		{"https://h", map[string]string{"RELAY_HTTP_SECRET": "whsec_HUSH"}, "RELAY_HTTP_SECRET: bad value"},
		{"amqp:/queue", map[string]string{"RELAY_HTTP_SECRET": goodSecret}, "an http:// or https:// URL is needed"},
		{"https://u:HUSH@h x/", map[string]string{"RELAY_HTTP_SECRET": goodSecret}, "malformed URL"},
	} {
		var out bytes.Buffer
		err := execute(t.Context(), &App{Stdout: &out, Stderr: &out, Env: row.env}, []string{"secret", row.url})
		if err == nil || !strings.Contains(err.Error(), row.want) || out.Len() > 0 {
			t.Errorf("%s, %v: %v, want an error with %q; printed %q", row.url, row.env, err, row.want, &out)
			continue
		}
		leaked(t, "the error", err.Error())
	}
}
