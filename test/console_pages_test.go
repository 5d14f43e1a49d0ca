package test

import (
	"fmt"
	"strings"
	"testing"

	"relay/test/harness"
)

// These are the tokens of the console's tests.
const (
	operatorToken = "operator-token-of-the-tests"
	viewerToken   = "viewer-token-of-the-tests"
)

// newTroubledSystem starts a relay with what the console has pages for: subscriptions that are well, fail, and are
// paused, dead messages with their causes, keys that are blocked, messages that cannot be sent, and a job.
func newTroubledSystem(t testing.TB, env ...string) *system {
	t.Helper()
	s := newSystem(t, append([]string{
		"RELAY_ADMIN_TOKEN=" + operatorToken, "RELAY_VIEWER_TOKEN=" + viewerToken, "RELAY_SOURCE=shop", "RELAY_BACKOFF=1h",
		"RELAY_CAPTURE=notify",
	}, env...)...)
	failing := newFailingReceiver(t)
	const subscribe = `insert into relay.subscription (name, topics, target, max_attempts, on_dead, paused) values
		('stock', '{order.*}', $1, 1, 'block', false), ('billing', '{order.*,invoice.*}', $2, null, 'continue', false),
		('warehouse', '{stock.*}', $1, null, 'continue', false), ('everyone', '{invoice.*}', $2, null, 'continue', false), ('archive', '{invoice.*}', $2, null, 'continue', true)`
	s.exec(t, subscribe, failing.URL+"/fail", s.receiver.URL+"/billing")
	s.exec(t, "update relay.subscription set broadcast = true where name = 'everyone'")
	for n := range 30 {
		topic := []string{"order.created", "invoice.issued", "stock.changed"}[n%3]
		s.send(t, "topic, key, payload, source", "$1, $2, $3, $4", topic, fmt.Sprintf("customer-%d", n%5), fmt.Sprintf(`{"number": %d, "total": 12.50}`, n), "shop")
	}
	s.send(t, "topic, payload, destination", "'order.lost', '{}', 'ftp://nowhere.example'")
	s.send(t, "topic, payload, deliver_at", "'order.later', '{}', now() + interval '1 day'")
	return s
}

// dead returns the id of a dead message.
func (s *system) dead(t testing.TB) (id string) {
	t.Helper()
	const query = `select coalesce(min(id::text), '') from relay.outbox where status = 'dead'`
	harness.Eventually(t, patience, "a message is dead", func() bool { id = s.text(t, query); return id != "" })
	return id
}

// consolePages are the pages with an address each.
func consolePages(id string) []string {
	return []string{
		"/", "/messages?since=all", "/messages/" + id, "/messages/00000000-0000-7000-8000-000000000000", "/messages?key=none",
		"/failures", "/failures?state=failing", "/failures?state=rejected", "/subscriptions", "/subscriptions?new=yes", "/subscriptions/stock",
		"/subscriptions/stock/charts", "/subscriptions/stock/settings", "/subscriptions/everyone/instances", "/senders", "/senders/shop", "/keys", "/jobs", "/audit", "/nowhere",
	}
}

// cutWords are the heads of columns and the states that do not fit where they stand.
const cutWords = `[...document.querySelectorAll(".table-frame thead th, .table-frame td .status .word")]
	.filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1).map((one) => one.innerText)`

// TestConsolePages looks at every page in both languages and both themes: no serious finding of axe, no word that is
// missing, nothing wider than a telephone; and, by openBrowser, no broken policy, exception or dialog.
func TestConsolePages(t *testing.T) {
	t.Parallel()
	s := newTroubledSystem(t)
	id := s.dead(t)
	b := openBrowser(t, "http://"+s.relay.admin)
	b.open("/signin")
	b.accessible("/signin")
	b.signIn(operatorToken, "Ada")
	for _, path := range consolePages(id) {
		b.open(path)
		for range 2 {
			for _, cut := range evaluate[[]string](b, cutWords) {
				t.Errorf("%s cuts the word %q in a window of 1280", path, cut)
			}
			if strings.HasPrefix(evaluate[string](b, "document.documentElement.lang"), "zh") {
				for _, word := range b.englishLeft(s.errors(t)) {
					t.Errorf("%s has in Chinese: %s", path, word)
				}
			}
			for range 2 {
				where := fmt.Sprintf("%s in %s, %s", path, evaluate[string](b, "document.documentElement.lang"), evaluate[string](b, "document.documentElement.dataset.theme ?? 'light'"))
				b.accessible(where)
				b.press("t")
			}
			if text := b.text(); strings.Contains(text, "undefined") || strings.Contains(text, "[object") || strings.Contains(text, "NaN") {
				t.Errorf("%s shows a word that is missing:\n%s", path, text)
			}
			evaluate[bool](b, "document.querySelector('.lang').click() || true")
		}
		for _, width := range []int64{390, 640, 768, 1280} {
			b.resize(width)
			if wide := evaluate[int](b, "document.documentElement.scrollWidth"); wide > int(width) {
				t.Errorf("%s is %d wide in a window of %d", path, wide, width)
			}
		}
	}
}
