package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// run runs a relay command with an input and returns how it ended.
func run(t testing.TB, input string, args []string, env ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := command(t, args, env...)
	var errs logBuffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(input), &errs
	out, _ := cmd.Output() // the exit code says the same, and is judged
	return cmd.ProcessState.ExitCode(), string(out), errs.String()
}

func TestSendInsertsWhatTheFlagsSay(t *testing.T) {
	t.Parallel()
	db := migrated.Database(t)
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte{0, 1, 0xff}, 0o600); err != nil {
		t.Fatal(err)
	}
	const columns = `concat_ws('|', topic, coalesce(key, '-'), coalesce(payload, '-'), coalesce(encode(body, 'hex'), '-'),
		content_type, headers::text, coalesce(source, '-'), coalesce(destination, '-'),
		coalesce(extract(epoch from deliver_at - created_at)::int::text, '-'))`
	for want, args := range map[string][]string{
		`a|-|-|-|application/json|{}|-|-|-`:                           {"a"},
		`a|-|{"x": 1}|-|application/json|{}|-|-|-`:                    {"a", `{"x": 1}`},
		`a|-| "stdin" |-|application/json|{}|-|-|-`:                   {"a", "-"},
		`a|-|-|0001ff|application/octet-stream|{}|-|-|-`:              {"a", "--body-file", file},
		`a|-|-|0001ff|image/x|{}|-|-|-`:                               {"a", "--body-file", file, "--content-type", "image/x"},
		`a|k|-|-|application/json|{"x": "1,2;3=4", "y": ""}|s|q|3600`: {"a", "--key=k", "--header=x=1,2;3=4", "--header=y=", "--source=s", "--destination=q", "--delay=1h"},
	} {
		// The application's role suffices.
		code, id, errs := run(t, ` "stdin" `, append([]string{"send"}, args...), "RELAY_DATABASE_URL="+db.AppURL)
		if code != 0 || errs != "" || len(strings.TrimSpace(id)) != 36 {
			t.Errorf("%v: code %d, %q, %q", args, code, id, errs)
			continue
		}
		var got string
		if err := db.Admin(t).QueryRow(t.Context(), "select "+columns+" from relay.outbox where id = $1", strings.TrimSpace(id)).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%v: inserted %s, want %s", args, got, want)
		}
	}
	const id = "01890000-0000-7000-8000-000000000001"
	send := []string{"send", "a", "--id", id, "--deliver-at", "2199-01-31T12:00:00Z", "--json"}
	if code, out, errs := run(t, "", send, "RELAY_DATABASE_URL="+db.AppURL); code != 0 || out != `{"id":"`+id+`"}`+"\n" {
		t.Errorf("code %d, %q, %q", code, out, errs)
	}
	if code, _, errs := run(t, "", send, "RELAY_DATABASE_URL="+db.AppURL); code != 1 || !strings.Contains(errs, "there is a message with this id already") {
		t.Errorf("code %d, %q", code, errs)
	}
}

func TestSendSaysWhatIsRefused(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	url := "RELAY_DATABASE_URL=" + db.URL
	if code, _, errs := run(t, "", []string{"send", "a"}, url); code != 1 || !strings.Contains(errs, "run relay migrate") {
		t.Errorf("code %d, %q", code, errs)
	}
	prepare(t, db)
	for want, args := range map[string][]string{
		"not valid JSON":                     {"a", "{hunter2"},
		"1 to 255 bytes":                     {""},
		"1 to 1024 bytes":                    {"a", "--key", strings.Repeat("k", 1025)},
		"write NAME=VALUE":                   {"a", "--header", "x"},
		"reserved":                           {"a", "--header", "ce-id=x"},
		"is not a UUID":                      {"a", "--id", "x"},
		"no such file":                       {"a", "--body-file", "/nowhere/x"},
		"a payload or --body-file, not both": {"a", "{}", "--body-file", "x"},
		"--deliver-at or --delay, not both":  {"a", "--delay", "1s", "--deliver-at", "2199-01-31T12:00:00Z"},
		"TOPIC is missing":                   {},
	} {
		code, out, errs := run(t, "", append([]string{"send"}, args...), url)
		if code == 0 || out != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 || strings.Contains(errs, "hunter2") {
			t.Errorf("%v: code %d, %q, %q, want %q", args, code, out, errs, want)
		}
	}
	if code, _, errs := run(t, "", []string{"send", "a"}, "RELAY_DATABASE_URL=postgres://u:hunter2@"+harness.FreeAddress(t)+"/x"); code != 1 ||
		!strings.Contains(errs, "refused") || strings.Contains(errs, "hunter2") {
		t.Errorf("code %d, %q", code, errs)
	}
}

func TestSendWaitsForTheEnd(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	url := "RELAY_DATABASE_URL=" + s.db.URL
	code, out, errs := run(t, "", []string{"send", "a", "{}", "--wait", "20s"}, url)
	if code != 0 || errs != "" || !strings.HasSuffix(out, "handled, attempts: 1\ndone\n") {
		t.Errorf("code %d, %q, %q", code, out, errs)
	}
	id, _, _ := strings.Cut(out, "\n")
	if s.receiver.accepted(id) != 1 {
		t.Errorf("message %q has not arrived", id)
	}
	code, out, errs = run(t, "", []string{"send", "a", "--destination", "http://u:hunter2@" + harness.FreeAddress(t) + "/x", "--wait", "300ms", "--json"}, url)
	var got struct {
		ID, Status string
		Deliveries []struct{ Target, Status, Error string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if code != 1 || got.Status != "open" && got.Status != "pending" || !strings.Contains(errs, "still") || strings.Contains(out+errs, "hunter2") {
		t.Errorf("code %d, %q, %q", code, out, errs)
	}
	code, _, errs = run(t, "", []string{"send", "a", "--destination", "nobody", "--wait", "20s"}, url)
	if code != 1 || !strings.Contains(errs, "is rejected: ") {
		t.Errorf("code %d, %q", code, errs)
	}
	started := time.Now()
	code, _, errs = run(t, "", []string{"send", "a", "--delay", "1h", "--wait", "100ms"}, url)
	if code != 1 || !strings.Contains(errs, "still pending after 100ms") || time.Since(started) > 10*time.Second {
		t.Errorf("code %d, %q", code, errs)
	}
}
