package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// secretValues holds for each secret a value that is accepted, whose parts in capitals
// must never be seen.
func secretValues() map[string]string {
	return map[string]string{
		"RELAY_DATABASE_URL":        "postgres://relay:HUSH1@db:5432/shop?options=-capp.key%3DHUSH2",
		"RELAY_AMQP_URL":            "amqp://relay:HUSH3@rabbitmq:5672/vhost?auth_mechanism=HUSH4",
		"RELAY_HTTP_SECRET":         "whsec_HUSH5GKYqrTwjUPD8ILPZIo2LaLaSwAA whsec_HUSH6GKYqrTwjUPD8ILPZIo2LaLaSwAA",
		"RELAY_ADMIN_TOKEN":         "HUSH7",
		"RELAY_VIEWER_TOKEN":        "HUSH8",
		"RELAY_DEFAULT_DESTINATION": "https://relay:HUSH9@shop.example/hook?token=HUSH0",
	}
}

func leaked(t *testing.T, where, text string) {
	t.Helper()
	if strings.Contains(text, "HUSH") || strings.Contains(text, "hush") {
		t.Errorf("%s shows a secret: %s", where, text)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	env := secretValues()
	c, err := ReadConfig(env)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		leaked(t, format, fmt.Sprintf(format, c))
		leaked(t, format, fmt.Sprintf(format, &c))
	}
	for _, v := range []any{c.DatabaseURL, c.AMQPURL, c.HTTPSecrets, c.AdminToken, c.ViewerToken, c.DefaultDestination, c} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		leaked(t, "JSON", string(text))
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		leaked(t, "the log", log.String())
	}
}

// TestSecretsAreNotInErrors breaks each secret in every way in which people break them.
func TestSecretsAreNotInErrors(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"HUSH words", "postgres://relay:HU SH@db/shop", "postgres://relay:12/HUSH@db/shop", "postgres://relay:12#HUSH@db/shop",
		"postgres://relay:12?HUSH@db/shop", "postgres://relay:HUSH@x@db:no/shop", "postgres://relay:HUSH%@db/shop",
		"postgres://relay:HUSH@db/shop?sslmode=no", "postgres://db/shop?password=HUSH&sslmode=no", "host=db password=HUSH sslmode=no",
		"amqp://relay:HUSH@rabbitmq:no/", "amqp://relay:HUSH/x@rabbitmq", "HUSH://word x", "mysql://relay:HUSH@db", "whsec_HUSH", "whsec_HUSHHUSH,HUSH",
		"http://relay:HUSH/x@host", "http://relay:HUSH@host:no/", "http://host:no/?token=HUSH", "HUSH\nHUSH ü",
	} {
		for _, v := range variables() {
			if _, secret := secretValues()[v.Name]; !secret || !v.Secret && !strings.ContainsAny(bad, "@?") {
				continue // a destination is no secret but for its user, password and query
			}
			t.Run(v.Name+"="+bad, func(t *testing.T) {
				t.Parallel()
				if _, err := ReadConfig(with(v.Name, bad)); err != nil {
					leaked(t, "the error", err.Error())
				}
			})
		}
	}
}

func TestSecretsFromFiles(t *testing.T) {
	t.Parallel()
	for name, value := range secretValues() {
		if name == "RELAY_DEFAULT_DESTINATION" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			good, empty, missing := filepath.Join(dir, "good"), filepath.Join(dir, "empty"), filepath.Join(dir, "missing")
			write(t, good, value+"\n")
			write(t, empty, "\n")
			env := func(value, path string) map[string]string {
				env := with("RELAY_ADMIN_TOKEN", "plain-token")
				env[name], env[name+"_FILE"] = value, path
				return env
			}
			direct, err := ReadConfig(env(value, ""))
			if err != nil {
				t.Fatal(err)
			}
			fromFile, err := ReadConfig(env("", good))
			if err != nil {
				t.Fatal(err)
			}
			if name == databaseName && fromFile.Database().Reread == nil {
				t.Error("the file is not read again")
			}
			fromFile.databaseFile, fromFile.databaseFileName = "", ""
			if fmt.Sprintf("%v", direct) != fmt.Sprintf("%v", fromFile) || direct.AdminToken != fromFile.AdminToken || direct.DatabaseURL != fromFile.DatabaseURL {
				t.Errorf("from the file: %v, want %v", fromFile, direct)
			}
			for path, want := range map[string]string{missing: "no such file", empty: "the file is empty"} {
				_, err := ReadConfig(env("", path))
				if err == nil || !strings.HasPrefix(err.Error(), name+"_FILE: bad value ") || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %s_FILE and %q", err, name, want)
				}
			}
			_, err = ReadConfig(env(value, good))
			if err == nil || err.Error() != name+" and "+name+"_FILE are both set; allowed: one of the two" {
				t.Errorf("both set: error %v", err)
			}
		})
	}
}

func TestBadSecretNamesItsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, "HUSH")
	_, err := ReadConfig(with("RELAY_HTTP_SECRET_FILE", path))
	if err == nil || !strings.HasPrefix(err.Error(), "RELAY_HTTP_SECRET_FILE: bad value ") {
		t.Fatalf("error %v, want one that names RELAY_HTTP_SECRET_FILE", err)
	}
	leaked(t, "the error", err.Error())
}

func TestDatabaseFallbackFromFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "url")
	write(t, path, "postgres://db/shop\r\n")
	c, err := ReadConfig(map[string]string{"DATABASE_URL_FILE": path})
	if err != nil || c.DatabaseURL != "postgres://db/shop" {
		t.Errorf("%q, %v", string(c.DatabaseURL), err)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value  string
		secret bool
		want   string
	}{
		{"", true, ""},
		{"token", true, "(hidden)"},
		{"plain", false, "plain"},
		{"postgres://u:p@db:5432/shop?a=b", true, "postgres://…@db:5432/…?…"},
		{"postgres://db", true, "postgres://db"},
		{"postgres://u:1/2@db/shop", true, "(hidden)"},
		{"token://x", true, "(hidden)"},
		{"https://u:p@host/hook?a=b", false, "https://…@host/hook?…"},
		{"https://host/hook", false, "https://host/hook"},
		{"ftp://host/x#y", false, "ftp://host/x#y"},
		{"ftp://u@host/x", false, "(hidden)"},
		{"https://u:p /@host", false, "(hidden)"},
		{"amqp:u:p@host/x", false, "(hidden)"},
		{"0-63 cron ? * * * *", false, "0-63 cron ? * * * *"},
	}
	for _, tt := range tests {
		if got := redact(tt.value, tt.secret); got != tt.want {
			t.Errorf("redact(%q, %v) = %q, want %q", tt.value, tt.secret, got, tt.want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A destination that cannot be read may hold a key in any of its parts.
func TestBadDestinationsAreNotShown(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"RELAY_DEFAULT_DESTINATION": {
			"htps://hooks.example/services/HUSH", "https:/hooks.example/HUSH", "https://hooks.example/HUSH x", "hooks.example/HUSH",
			"https://hooks.example/HUSH#", "amqp:HUSH", "amqp:user:HUSH@broker/vhost", "https://user:HUSH/@hooks.example/",
		},
		"RELAY_ACK_URL": {"https:/relay.example/HUSH", "https://user:HUSH@relay.example/", "https://relay.example/?key=HUSH", "ftp://relay.example/HUSH"},
	} {
		for _, value := range values {
			_, err := ReadConfig(with(name, value, "RELAY_ACK_ADDR", ":8471"))
			if err == nil || !strings.HasPrefix(err.Error(), name+": bad value ") {
				t.Fatalf("%s: error %v, want one that names %s", value, err, name)
			}
			leaked(t, "the error", err.Error())
		}
	}
}
