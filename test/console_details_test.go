package test

import (
	"strconv"
	"strings"
	"testing"

	"relay/test/harness"
)

// TestConsoleDetails looks at what a person meets now and then: what holds the refresh, great numbers, large payloads,
// and what another person does meanwhile.
func TestConsoleDetails(t *testing.T) {
	t.Parallel()
	s := newTroubledSystem(t)
	s.dead(t)
	b := openBrowser(t, "http://"+s.relay.admin)
	b.signIn(operatorToken, "Ada")
	t.Run("what holds the refresh says so", func(t *testing.T) { consoleHolds(b.of(t), s) })
	t.Run("a filter is added and changed in place", func(t *testing.T) { consoleChips(b.of(t)) })
	t.Run("columns and density", func(t *testing.T) { consoleColumns(b.of(t)) })
	t.Run("what a refresh has changed is tinted", func(t *testing.T) { consoleTint(b.of(t), s) })
	t.Run("payloads", func(t *testing.T) { consolePayloads(b.of(t), s) })
	t.Run("a group of failures", func(t *testing.T) { consoleGroup(b.of(t), s) })
	t.Run("two people change one subscription", func(t *testing.T) { consoleConflict(b.of(t), s) })
	t.Run("a great number is typed", func(t *testing.T) { consoleGreatNumber(b.of(t), s) })
}

func consoleHolds(b *browser, s *system) {
	s.exec(b.t, "insert into relay.outbox (topic, deliver_at) select 'page.filler', now() + interval '1 day' from generate_series(1, 60)")
	b.open("/messages?since=all")
	b.has("Live")
	b.click("Copy as")
	b.has("Paused: you are editing")
	b.press("Escape")
	b.has("Live")
	evaluate[bool](b, "(scrollTo(0, 400), true)")
	b.has("Paused: you have scrolled")
	evaluate[bool](b, "(scrollTo(0, 0), true)")
	b.has("Live")
	b.press("]")
	b.has("Paused: not the first page")
}

func consoleChips(b *browser) {
	b.open("/messages?since=all")
	b.click("Filter")
	b.click("Key")
	b.fill("Key", "customer-1")
	b.click("Apply")
	b.shows("the filter in the address", "location.search === '?since=all&key=customer-1'")
	b.click("Change filter Key: customer-1")
	b.fill("Key", "nothing-has-this")
	b.click("Apply")
	b.shows("the other one in its place", "location.search === '?since=all&key=nothing-has-this'")
	b.has("No message matches.")
	b.shows("how many there are without it", `[...document.querySelectorAll(".empty-actions button")].some((one) => /^Without key\s*\d+$/.test(one.innerText.trim()))`)
	b.click("Remove filter Key")
	b.shows("the list without a filter", "location.search === '?since=all'")
	b.open("/subscriptions/stock")
	evaluate[bool](b, `[...document.querySelectorAll(".stages > .button")].at(-1).click() || true`)
	b.shows("what needs a person", "new URLSearchParams(location.search).get('status') === 'dead' && document.querySelector('tbody tr[data-key]')")
	b.open("/audit?since=all&name=nobody")
	b.has("Nothing recorded.")
	b.open("/audit?since=all&name=Ada&action=session.signin")
	b.shows("what Ada did", "document.querySelectorAll('tbody tr[data-key]').length > 0")
}

func consoleColumns(b *browser) {
	b.open("/messages?since=all")
	const head, height = `[...document.querySelectorAll("thead th")].some((one) => one.innerText === "Source")`, `document.querySelector("tbody tr[data-key]").getBoundingClientRect().height`
	before := evaluate[float64](b, height)
	b.click("Columns")
	b.click("Source")
	b.shows("no such column", "!"+head)
	b.click("Settings")
	b.click("Dense rows")
	b.shows("lower rows", height+" < "+strconv.FormatFloat(before, 'f', -1, 64))
	b.open("/messages?since=all")
	b.shows("the same after the page is loaded again", "!"+head+" && "+height+" < "+strconv.FormatFloat(before, 'f', -1, 64))
	evaluate[bool](b, "localStorage.clear() || true")
}

func consoleTint(b *browser, s *system) {
	const tinted = `document.getAnimations().some((one) => one.id === "changed")`
	id := s.send(b.t, "topic, payload, deliver_at", "'order.tinted', '{}', now() + interval '1 day'")
	b.open("/messages?since=all&topic=order.tinted")
	b.shows("the row", `document.querySelector('tr[data-key="`+id+`"]')`)
	b.press("R")
	if evaluate[bool](b, tinted) {
		b.t.Error("a cell is tinted that has not changed")
	}
	evaluate[bool](b, `(() => {
		const look = () => { window.tinted ||= `+tinted+`; requestAnimationFrame(look); };
		look();
		return true;
	})()`)
	s.exec(b.t, "update relay.outbox set status = 'cancelled' where id = $1", id)
	b.press("R")
	b.shows("a tint where the status has changed", "window.tinted")
}

// consolePayloads: a payload is shown in hexadecimal too, and of a large one the beginning, with a way to the whole.
func consolePayloads(b *browser, s *system) {
	id := s.send(b.t, "topic, payload, deliver_at", "'order.hex', $1, now() + interval '1 day'", `{"é":1}`)
	b.open("/messages/" + id)
	b.click("Hex")
	b.shows("the bytes", `document.querySelector(".bytes-body").innerText.replace(/\s+/g, " ").includes("7b 22 c3 a9 22 3a 31 7d")`)
	large := s.send(b.t, "topic, payload, deliver_at", "'order.large', $1, now() + interval '1 day'", `"`+strings.Repeat("é", 40_000)+`"`)
	b.open("/messages/" + large)
	b.has("first 65.5 kB")
	b.shows("whole characters", `!document.querySelector(".bytes-body").innerText.includes("\ufffd")`)
	size := evaluate[int](b, `fetch(document.querySelector(".bytes-head a[download]").href).then((one) => one.arrayBuffer()).then((all) => all.byteLength)`)
	if size != 80_002 {
		b.t.Errorf("the download has %d bytes, want 80002", size)
	}
}

// consoleGroup looks closer at a group of failures, writes a note at it, and tries its oldest message first.
func consoleGroup(b *browser, s *system) {
	b.open("/failures?subscription=stock")
	evaluate[bool](b, "document.querySelector('.group-open').click() || true")
	for _, title := range []string{"What to do", "Errors alike", "Newest messages"} {
		b.has(title)
	}
	b.has("The receiver's own logic failed on the message.")
	evaluate[bool](b, "document.querySelector('.group-actions .menu > button').click() || true")
	b.click("Add a note")
	b.fill("Note", "the receiver's team knows")
	b.click("Save")
	b.has("the receiver's team knows")
	before := s.text(b.t, "select sum(attempts)::text from relay.delivery where subscription = 'stock'")
	b.click("Retry one first")
	harness.Eventually(b.t, patience, "one message is tried", func() bool {
		return s.text(b.t, "select sum(attempts)::text from relay.delivery where subscription = 'stock'") != before
	})
	b.has("The oldest failed again.")
	s.exec(b.t, "update relay.subscription set target = $1 where name = 'stock'", s.receiver.URL+"/mended")
	b.click("Retry one first")
	b.has("The oldest is handled now.")
	b.click("Retry the rest")
	b.shows("the dialog for the rest", "document.querySelector('dialog[open] .preview')")
	b.press("Escape")
}

// consoleConflict: settings that another person has changed meanwhile are shown beside one's own, and those that one
// has not touched stay as the other person set them.
func consoleConflict(b *browser, s *system) {
	b.open("/subscriptions/billing/settings")
	b.fill("Attempts at once", "9")
	s.exec(b.t, "update relay.subscription set concurrency = 3, rate_limit = 50 where name = 'billing'")
	b.click("Review and save")
	b.click("Save")
	b.has("Another person has changed this meanwhile.")
	b.shows("both values", `[...document.querySelectorAll("dialog[open] .diff tr")].some((one) => one.innerText.replace(/\s+/g, " ").trim() === "Attempts at once 3 9")`)
	b.click("Save")
	b.shows("no dialog", "!document.querySelector('dialog[open]')")
	if got := s.text(b.t, "select concurrency || ' ' || rate_limit from relay.subscription where name = 'billing'"); got != "9 50" {
		b.t.Errorf("the settings are %s, want one's own 9 and the other person's 50", got)
	}
}

func consoleGreatNumber(b *browser, s *system) {
	s.exec(b.t, "insert into relay.outbox (topic, deliver_at) select 'many.of', now() + interval '1 day' from generate_series(1, 1200)")
	b.open("/messages?since=all&topic=many.of")
	b.shows("the count", `[...document.querySelectorAll(".result-line button")].some((one) => one.innerText.includes("1,200"))`)
	evaluate[bool](b, `[...document.querySelectorAll(".result-line button")].find((one) => one.innerText.includes("1,200")).click() || true`)
	b.click("Cancel…")
	const start = `[...document.querySelectorAll("dialog[open] .dialog-foot button")].at(-1)`
	b.shows("a button that waits", start+`?.innerText === "Cancel 1,200" && `+start+".disabled")
	b.fill("That is many: type 1,200 to go on", "1200")
	b.shows("a button that may be pressed", "!"+start+".disabled")
	evaluate[bool](b, start+".click() || true")
	harness.Eventually(b.t, patience, "they are cancelled", func() bool {
		return s.text(b.t, "select count(*)::text from relay.outbox where topic = 'many.of' and status = 'cancelled'") == "1200"
	})
}
