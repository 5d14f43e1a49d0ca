package notify_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"relay"
	"relay/notify"
	"relay/test/harness"
)

func TestReferencesAreReplacedByWhatTheyName(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("HOOK_TOKEN", "Bearer one\n")
	t.Setenv("OTHER", "x")
	path := filepath.Join(folder, "secret")
	if err := os.WriteFile(path, []byte("whsec_a whsec_b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := notify.ParseReferences("env:HOOK_*, file:" + folder + "/")
	if err != nil {
		t.Fatal(err)
	}
	s := &relay.Subscriber{Headers: map[string]string{"authorization": "env:HOOK_TOKEN", "x-plain": "environment"}, Secrets: []string{"whsec_new", "file:" + path}}
	got, err := r.Resolve(s)
	if err != nil || got.Headers["authorization"] != "Bearer one" || got.Headers["x-plain"] != "environment" || strings.Join(got.Secrets, " ") != "whsec_new whsec_a whsec_b" {
		t.Errorf("%+v, %v", got, err)
	}
	if s.Headers["authorization"] != "env:HOOK_TOKEN" {
		t.Error("the subscription itself has changed")
	}
	if err := os.WriteFile(path, []byte("whsec_c"), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 5*time.Second, "the file is read again", func() bool {
		got, err = r.Resolve(s)
		return err == nil && strings.Join(got.Secrets, " ") == "whsec_new whsec_c"
	})
}

// A role that may change subscriptions must not have the relay send it what the relay can read.
func TestReferencesLeadNowhereElse(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("RELAY_ADMIN_TOKEN", "hunter2")
	t.Setenv("DATABASE_URL", "postgres://u:hunter2@h/")
	t.Setenv("PGPASSWORD", "hunter2")
	t.Setenv("OTHER", "hunter2")
	t.Setenv("HOOK_LINES", "hunter2\nhunter2")
	t.Setenv("HOOK_CONTROL", "hunter2\x01")
	for name, content := range map[string]string{"secret": "hunter2", "large": strings.Repeat("hunter2", 10_000), "empty": " \n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(folder, "below")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	for reference, c := range map[string]struct{ allowed, says string }{
		"env:OTHER":                          {"", "RELAY_SUBSCRIPTION_SECRETS=env:OTHER"},
		"env:RELAY_ADMIN_TOKEN":              {"env:R*", "no subscription may name"},
		"env:DATABASE_URL":                   {"env:D*", "no subscription may name"},
		"env:PGPASSWORD":                     {"env:P*", "no subscription may name"},
		"env:HOOK_MISSING":                   {"env:HOOK_*", "not set"},
		"env:HOOK_LINES":                     {"env:HOOK_*", "several lines"},
		"env:HOOK_CONTROL":                   {"env:HOOK_*", "control character"},
		"file:" + folder + "/secret":         {"file:" + below + "/", "RELAY_SUBSCRIPTION_SECRETS=file:"},
		"file:" + below + "/../secret":       {"file:" + below + "/", "without dots"},
		"file:" + folder + "/secret2":        {"file:" + folder + "/secret", "RELAY_SUBSCRIPTION_SECRETS"},
		"file:secret":                        {"file:" + folder + "/", "from the root"},
		"file:" + folder + "/missing":        {"file:" + folder + "/", "no such file"},
		"file:" + folder + "/empty":          {"file:" + folder + "/", "empty"},
		"file:" + folder + "/large":          {"file:" + folder + "/", "more than"},
		"file:" + folder + "/pipe":           {"file:" + folder + "/", "no regular file"},
		"file:" + folder + "/below":          {"file:" + folder + "/", "no regular file"},
		"file:" + folder:                     {"file:" + folder + "/", "RELAY_SUBSCRIPTION_SECRETS"},
		"env:env:OTHER":                      {"env:OTHER", "RELAY_SUBSCRIPTION_SECRETS"},
		"env:":                               {"env:O*", "RELAY_SUBSCRIPTION_SECRETS"},
		"file:" + folder + "/secret\x00.pem": {"file:" + folder + "/", "cannot be read"},
	} {
		r, err := notify.ParseReferences(c.allowed)
		if err != nil {
			t.Fatalf("%s: %v", c.allowed, err)
		}
		_, err = r.Resolve(&relay.Subscriber{Headers: map[string]string{"x": reference}})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q with %q: %v, want it to say %q", reference, c.allowed, err, c.says)
		}
	}
	for _, setting := range []string{"env:RELAY_X", "env:*", "env:", "file:relative", "file:/", "file:/a/../b/", "OTHER", "env:PGPASSWORD"} {
		if _, err := notify.ParseReferences(setting); err == nil {
			t.Errorf("%q: %v", setting, err)
		}
	}
}
