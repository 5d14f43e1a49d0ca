package test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"relay/test/harness"
)

// row is the selector of the row that has the focus.
const row = "document.activeElement.closest('tr[data-key]')"

// TestConsoleActions drives the console by its keys and buttons: what a person does is done, and what a person looks
// at stays where it is.
func TestConsoleActions(t *testing.T) {
	t.Parallel()
	s := newTroubledSystem(t)
	s.dead(t)
	b := openBrowser(t, "http://"+s.relay.admin)
	b.signIn(operatorToken, "Ada")
	t.Run("keys lead to every page", func(t *testing.T) { consoleKeys(b.of(t)) })
	t.Run("the selection survives 20 refreshes", func(t *testing.T) { consoleSelection(b.of(t), s) })
	t.Run("keys act on rows", func(t *testing.T) { consoleRowKeys(b.of(t), s) })
	t.Run("filters are the address", func(t *testing.T) { consoleFilters(b.of(t)) })
	t.Run("a key is skipped", func(t *testing.T) { consoleSkip(b.of(t), s) })
	t.Run("one message is retried and cancelled", func(t *testing.T) { consoleRetry(b.of(t), s) })
	t.Run("everything that matches is retried by a job", func(t *testing.T) { consoleJob(b.of(t), s) })
	t.Run("a subscription is made, tested and deleted", func(t *testing.T) { consoleSubscription(b.of(t), s) })
	t.Run("settings are saved after a look at what changes", func(t *testing.T) { consoleSettings(b.of(t), s) })
	t.Run("the page recovers when the relay is killed and back", func(t *testing.T) { consoleRecovery(b.of(t), s) })
}

// of returns the same window for a subtest.
func (b *browser) of(t *testing.T) *browser { return &browser{t: t, ctx: b.ctx, base: b.base} }

func consoleKeys(b *browser) {
	b.open("/")
	for _, place := range []struct{ key, path string }{
		{"m", "/messages"}, {"f", "/failures"}, {"s", "/subscriptions"}, {"e", "/senders"}, {"k", "/keys"}, {"j", "/jobs"}, {"a", "/audit"}, {"o", "/"},
	} {
		// The second letter counts for a moment only, which a slow machine may let pass.
		there := "location.pathname === " + quoted(place.path)
		harness.Eventually(b.t, patience, "the keys lead to "+place.path, func() bool {
			b.press("g", place.key)
			return evaluate[bool](b, "new Promise((done) => setTimeout(() => done("+there+"), 300))")
		})
		b.shows("the page "+place.path, there+" && document.activeElement.tagName === 'H1'")
	}
	b.press("?")
	b.shows("the list of keys", "document.querySelector('dialog[open]')")
	b.press("Escape")
	b.shows("the page without a dialog", "!document.querySelector('dialog[open]')")
	b.press("/")
	b.shows("the focus in the search", "document.activeElement.id === 'search'")
	evaluate[bool](b, "document.activeElement.blur() || true")
}

// consoleSelection selects by keys, and has the page refresh while messages come.
func consoleSelection(b *browser, s *system) {
	b.open("/messages?since=all")
	b.press("j", "j", "x", "j", "x")
	b.shows("two selected rows", "document.querySelectorAll('tr.selected').length === 2")
	const state = `JSON.stringify([[...document.querySelectorAll("tr.selected")].map((one) => one.dataset.key), ` + row + `.dataset.key, Math.round(` + row + `.getBoundingClientRect().top), scrollY])`
	before := evaluate[string](b, state)
	for n := range 20 {
		s.send(b.t, "topic, payload", "'order.new', $1", fmt.Sprintf(`{"n": %d}`, n))
		evaluate[bool](b, `new Promise((done) => {
			performance.clearResourceTimings();
			const before = performance.getEntriesByType("resource").filter((one) => one.name.endsWith("/api/v1/messages")).length;
			const look = () => performance.getEntriesByType("resource").filter((one) => one.name.endsWith("/api/v1/messages")).length > before ? done(true) : setTimeout(look, 20);
			document.dispatchEvent(new KeyboardEvent("keydown", { key: "R", bubbles: true }));
			look();
		})`)
		if after := evaluate[string](b, state); after != before {
			b.t.Fatalf("refresh %d moved %s to %s", n+1, before, after)
		}
	}
	b.shows("the bar with new rows", "document.querySelector('.fresh')")
	b.press("Escape")
	b.shows("no selection", "!document.querySelector('tr.selected')")
	b.press(".")
	b.shows("the new rows", "!document.querySelector('.fresh') && document.body.innerText.includes('order.new')")
}

// consoleRowKeys presses each key that acts on the rows of a list.
func consoleRowKeys(b *browser, s *system) {
	s.exec(b.t, "insert into relay.outbox (topic, deliver_at) select 'page.filler', now() + interval '1 day' from generate_series(1, 60)")
	b.open("/messages?since=all")
	at := func(n int) string { return row + "?.sectionRowIndex === " + strconv.Itoa(n) }
	for _, move := range []struct {
		key string
		to  int
	}{{"j", 0}, {"j", 1}, {"k", 0}, {kb.ArrowDown, 1}, {kb.ArrowUp, 0}} {
		b.press(move.key)
		b.shows("the focus after "+move.key, at(move.to))
	}
	b.press("x", "j", "j", "X")
	b.shows("a range of rows", "document.querySelectorAll('tr.selected').length === 3")
	b.press("*")
	b.shows("the page selected", "document.querySelectorAll('tr.selected').length === document.querySelectorAll('tbody tr[data-key]').length")
	b.press("Escape", "r")
	b.shows("that the refresh is paused", "document.body.innerText.includes('Paused')")
	b.press("r")
	evaluate[bool](b, "(window.open = (url) => { window.opened = url; }) && true")
	b.press("o")
	b.shows("the row in a tab of its own", "window.opened === '/messages/' + "+row+".dataset.key")
	b.press("y")
	b.has("Copied: id")
	b.press("Shift+Enter")
	b.shows("the message beside the list", "document.querySelector('aside.aside')?.contains(document.activeElement)")
	b.press("Escape")
	b.shows("the focus where it was", "!document.querySelector('aside.aside') && "+at(2))
	b.press("]")
	b.shows("the next page", "location.search.includes('after=')")
	b.press("[")
	b.shows("the page before", "!location.search.includes('after=')")
	b.loaded()
	b.press("j", "Enter")
	b.shows("the message's page", "location.pathname.startsWith('/messages/')")
	b.open("/messages?since=all&status=dead")
	b.press("j", "x", "e")
	b.has("1 retried")
}

// consoleFilters looks at each filter's address, and goes back.
func consoleFilters(b *browser) {
	for query, want := range map[string]string{
		"status=dead": "Dead", "topic=invoice.*": "invoice.issued", "key=customer-1": "customer-1", "source=shop": "shop",
		"subscription=stock": "order.created", "delivery_status=dead": "Dead", "cause=http+500": "answered 500", "text=12.50": "12.50",
	} {
		b.open("/messages?since=all&" + query)
		b.shows("rows for "+query, "document.querySelectorAll('tbody tr[data-key]').length > 0")
		if query != "text=12.50" {
			b.has(want)
		}
		if chips := evaluate[int](b, "document.querySelectorAll('.filter-chip').length"); chips != 1 {
			b.t.Errorf("%s shows %d chips", query, chips)
		}
	}
	b.open("/messages?since=all")
	all := evaluate[int](b, "document.querySelectorAll('tbody tr[data-key]').length")
	evaluate[bool](b, `[...document.querySelectorAll(".range button")][1].click() || true`)
	b.shows("the filter in the address", "location.search === '?since=1h'")
	evaluate[bool](b, "history.back() || true")
	b.shows("the list of before", "location.search === '?since=all' && document.querySelectorAll('tbody tr[data-key]').length === "+strconv.Itoa(all))
}

func consoleSkip(b *browser, s *system) {
	const blocked = `select count(*)::text from relay.delivery where reason = 'key_blocked' and subscription = 'stock' and status = 'waiting'`
	before := s.text(b.t, blocked)
	b.open("/keys?subscription=stock")
	b.shows("a key that is blocked", "document.querySelector('tbody tr[data-key]')")
	b.click("Skip")
	b.has("follow in order")
	b.click("Skip")
	b.shows("no dialog", "!document.querySelector('dialog[open]')")
	harness.Eventually(b.t, patience, "the key goes on", func() bool { return s.text(b.t, blocked) != before })
	if n := s.text(b.t, `select count(*)::text from relay.audit where action like 'key.skip%' and actor = 'Ada'`); n == "0" {
		b.t.Error("the audit has no word of it")
	}
}

func consoleRetry(b *browser, s *system) {
	id := s.dead(b.t)
	attempts := func() string { // the number in relay.delivery begins anew
		return s.text(b.t, "select count(*)::text from relay.attempt where message_id = $1", id)
	}
	before := attempts()
	b.open("/messages/" + id)
	b.has("Given up after")
	b.press("e")
	harness.Eventually(b.t, patience, "the message is tried again", func() bool { return attempts() != before })
	b.open("/messages/" + s.text(b.t, "select id::text from relay.outbox where topic = 'order.later'"))
	b.has("Is due")
	b.press("c")
	b.has("ends as cancelled")
	evaluate[bool](b, `[...document.querySelectorAll("dialog[open] .dialog-foot button")].at(-1).click() || true`)
	b.has("A person cancelled this message")
}

func consoleJob(b *browser, s *system) {
	b.open("/failures?subscription=stock")
	b.shows("a group", "document.querySelector('.group')")
	b.click("Retry all")
	b.shows("the count", "document.querySelector('dialog[open] .preview')")
	b.shows("a button that names the number", `[...document.querySelectorAll("dialog[open] .button.primary")].some((one) => /^Retry \d+$/.test(one.innerText) && !one.disabled)`)
	evaluate[bool](b, `document.querySelector("dialog[open] .button.primary").click() || true`)
	b.has("The job begins in 5 seconds.")
	b.shows("the progress at the group", "document.querySelector('.group .job-line progress')")
	harness.Eventually(b.t, patience, "the job has ended", func() bool {
		return s.text(b.t, "select count(*)::text from relay.job where status = 'done'") != "0"
	})
	b.open("/jobs")
	b.has("Done")
	evaluate[bool](b, `document.querySelector("tbody a.row-link").click() || true`)
	b.shows("the job's results", "location.pathname.startsWith('/jobs/')")
}

func consoleSubscription(b *browser, s *system) {
	exists := func() string {
		return s.text(b.t, "select count(*)::text from relay.subscription where name = 'hooks'")
	}
	b.open("/subscriptions?new=yes")
	b.fill("Name", "hooks")
	b.fill("Topics", "hook.*")
	b.fill("Target", s.receiver.URL+"/hooks")
	b.click("Create")
	b.shows("what will be made", "document.querySelector('dialog[open] .diff')")
	b.click("Create")
	harness.Eventually(b.t, patience, "the subscription is made", func() bool { return exists() == "1" })
	b.open("/subscriptions/hooks")
	b.click("Send a test")
	b.click("Send")
	b.shows("the end of the test", "document.querySelector('.trial')?.innerText.includes('Handled')")
	b.press("Escape")
	b.click("More")
	b.click("Delete")
	b.shows("a button that waits for the name", `[...document.querySelectorAll("dialog[open] .dialog-foot button")].at(-1)?.disabled`)
	b.fill("Type hooks to go on", "hooks")
	b.click("Delete")
	b.shows("the list", "location.pathname === '/subscriptions'")
	if exists() != "0" {
		b.t.Error("it is still there")
	}
}

func consoleSettings(b *browser, s *system) {
	b.open("/subscriptions/billing/settings")
	b.fill("Attempts at once", "7")
	b.click("Review and save")
	b.shows("what changes", "document.querySelector('dialog[open] .diff')")
	b.click("Save")
	harness.Eventually(b.t, patience, "the setting is stored", func() bool {
		return s.text(b.t, "select concurrency::text from relay.subscription where name = 'billing'") == "7"
	})
	b.open("/subscriptions/billing")
	b.click("Pause")
	b.has("Paused. Messages wait in the table.")
	harness.Eventually(b.t, patience, "it is paused", func() bool {
		return s.text(b.t, "select paused::text from relay.subscription where name = 'billing'") == "true"
	})
}

func consoleRecovery(b *browser, s *system) {
	b.open("/messages?since=all")
	rows := evaluate[int](b, "document.querySelectorAll('tbody tr[data-key]').length")
	s.relay.kill()
	b.shows("that the relay does not answer", "document.querySelector('.band')?.innerText.includes('The relay does not answer')")
	if now := evaluate[int](b, "document.querySelectorAll('tbody tr[data-key]').length"); now != rows {
		b.t.Errorf("%d rows are left of %d", now, rows)
	}
	s.relay = restartAt(b.t, s)
	b.shows("the page without a complaint", "!document.querySelector('.band')")
	if strings.Contains(b.text(), "does not answer") {
		b.t.Error("the page still complains")
	}
}

// restartAt starts a relay again at the console's address of the one that was killed.
func restartAt(t testing.TB, s *system) *process {
	t.Helper()
	env := []string{"RELAY_DEFAULT_DESTINATION=" + s.receiver.URL, "RELAY_ADMIN_TOKEN=" + operatorToken, "RELAY_VIEWER_TOKEN=" + viewerToken, "RELAY_CAPTURE=notify"}
	old := s.relay.admin
	p := launch(t, s.db, append(env, "RELAY_ADMIN_ADDR="+old)...)
	p.admin = old
	p.waitReady()
	return p
}
