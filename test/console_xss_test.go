package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"relay/test/harness"
)

// strangers are texts that would run, break out of a page or reorder it, if a page took them for more than text.
var strangers = []string{
	`<script>window.broken = 1</script>`, `<img src=x onerror="window.broken = 1">`, `"><svg onload=window.broken=1>`, `javascript:window.broken=1`,
	`</title><script>window.broken=1</script>`, `{{constructor.constructor('window.broken=1')()}}`, "\u202egnp.exe", "a\u2066b\u200bc", `'-window.broken=1-'`, `%3Cscript%3E`,
}

// TestConsoleShowsStrangersTextsAsText stores such a text wherever a sender, a receiver or a person may write one, and
// looks at every page: nothing runs, no element is made of it, and control characters are visible.
func TestConsoleShowsStrangersTextsAsText(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_ADMIN_TOKEN="+operatorToken, "RELAY_BACKOFF=1h", "RELAY_CAPTURE=notify")
	answer := strings.Join(strangers, "\n")
	failing := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "text/html")
		http.Error(w, answer, http.StatusInternalServerError)
		return false
	})
	name := `<img-onerror=window.broken=1>`
	s.exec(t, "insert into relay.subscription (name, topics, target, max_attempts, on_dead) values ($1, '{#}', $2, 1, 'block')", name, failing.URL+`/?<script>window.broken=1</script>`)
	var id string
	for _, text := range strangers {
		for range 2 {
			id = s.send(t, "topic, key, source, payload, headers", "$1, $1, $1, to_jsonb($1::text), jsonb_build_object('x-stranger', $2::text)", text, printable(text))
		}
	}
	s.send(t, "topic, payload, destination", "$1, '{}', $1", strangers[0])
	s.dead(t)
	b := openBrowser(t, "http://"+s.relay.admin)
	b.signIn(operatorToken, strangers[1])
	reason := quoted(fmt.Sprintf(`{"ids": [%q], "reason": %s}`, id, quoted(strangers[0])))
	evaluate[int](b, `fetch("/api/v1/messages/retry", { method: "POST", headers: { "Content-Type": "application/json" }, body: `+reason+` }).then((one) => one.status)`)
	elements := "document.querySelectorAll('main script, main img, main iframe, main [onerror], main [onload], a[href^=\"javascript:\"]').length"
	for _, path := range []string{
		"/", "/messages?since=all", "/messages/" + id, "/failures", "/failures?state=rejected", "/subscriptions", "/subscriptions/" + urlPart(name),
		"/subscriptions/" + urlPart(name) + "/settings", "/senders", "/senders/" + urlPart(strangers[0]), "/keys", "/audit?since=all",
		"/messages?since=all&topic=" + urlPart(strangers[0]), "/signin?to=javascript:window.broken=1", "/signin?to=//example.com", "/" + urlPart(strangers[0]),
	} {
		b.open(path)
		evaluate[bool](b, "document.querySelectorAll('.group-open, .beneath button').forEach((one) => one.click()) || true")
		if evaluate[bool](b, "'broken' in window") {
			t.Errorf("%s ran a stranger's text", path)
		}
		if n := evaluate[int](b, elements); n != 0 {
			t.Errorf("%s made %d elements of a stranger's text", path, n)
		}
		if evaluate[bool](b, `/[\u202a-\u202e\u2066-\u2069\u200b]/.test(document.body.innerText)`) {
			t.Errorf("%s shows a character that reorders or hides text", path)
		}
		if host := evaluate[string](b, "location.host"); host != s.relay.admin {
			t.Errorf("%s leads to %s", path, host)
		}
	}
	b.open("/messages?since=all")
	b.has("U+202E")
	harness.Eventually(t, patience, "downloads are attachments", func() bool {
		return evaluate[string](b, `fetch("/api/v1/messages/`+id+`/payload").then((one) => one.headers.get("Content-Disposition") ?? "")`) != ""
	})
}

// printable is a text as a header may have it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}

// urlPart writes a text as a part of a path.
func urlPart(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
