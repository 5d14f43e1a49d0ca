package test

import (
	"slices"
	"strconv"
	"testing"

	"relay/test/harness"
)

// TestConsoleReading looks at what the pages tell: the way of one message, the stages of many, and how it went.
func TestConsoleReading(t *testing.T) {
	t.Parallel()
	s := newTroubledSystem(t)
	s.exec(t, discardCounts)
	s.dead(t)
	b := openBrowser(t, "http://"+s.relay.admin)
	b.signIn(operatorToken, "Ada")
	t.Run("charts", func(t *testing.T) { consoleCharts(b.of(t), s) })
	t.Run("causes", func(t *testing.T) { consoleCauses(b.of(t), s) })
	t.Run("one message", func(t *testing.T) { consoleMessage(b.of(t), s) })
	t.Run("stages", func(t *testing.T) { consoleStages(b.of(t)) })
	t.Run("the search box", func(t *testing.T) { consoleSearch(b.of(t), s) })
	t.Run("late answers are thrown away", func(t *testing.T) { consoleLateAnswers(b.of(t)) })
	t.Run("what has not changed is not sent again", func(t *testing.T) { consoleETags(b.of(t)) })
}

// discardCounts has the database throw away what the relay counts, as if none had run.
const discardCounts = `
create function public.discard() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger discard before insert on relay.pulse_standing for each row execute function public.discard();
delete from relay.pulse_standing`

// insertCounts stores what was outstanding in each of the last five full minutes.
const insertCounts = `
drop trigger discard on relay.pulse_standing;
insert into relay.pulse_standing
select date_trunc('minute', now()) - n * interval '1 minute', 200000 + n, false, jsonb_build_object('stock', 40 + n), true from generate_series(1, 5) n`

// consoleCharts: a chart without numbers says so; one with numbers says them to a screen reader, and as a table.
func consoleCharts(b *browser, s *system) {
	const chart = `[...document.querySelectorAll("figure.chart")].find((one) => one.querySelector("h3").innerText === "Outstanding")`
	pages := []struct{ path, legend, want string }{
		{"/", "messages that have not ended", "200,003+"}, {"/subscriptions/stock/charts", "deliveries that have not ended", "43"},
	}
	for _, page := range pages {
		b.open(page.path)
		b.shows("that nothing was counted", chart+"?.querySelector('.chart-empty')?.innerText.startsWith('Not counted')")
		b.accessible(page.path + " without counts")
	}
	s.exec(b.t, insertCounts)
	for _, page := range pages {
		b.open(page.path)
		b.shows("the chart by name", chart+`?.querySelector("[role=img]")?.getAttribute("aria-label").startsWith("Outstanding. `+page.legend+`: ")`)
		evaluate[bool](b, chart+".querySelector('button').click() || true")
		b.shows("the numbers as a table", chart+`.querySelector("table") && [...`+chart+`.querySelectorAll("td")].some((one) => one.innerText === `+quoted(page.want)+`)`)
		for range 2 {
			b.accessible(page.path + " with the counts as a table")
			b.press("t")
		}
	}
}

// insertCauses stores what failed in each of the last ten full minutes, for more causes than a chart has patterns; the
// youngest row is of a relay that knew no causes.
const insertCauses = `
insert into relay.pulse_outcome (minute, relay, subscription, accepted, handled, push_failed, handle_failed, dead, wait, total, causes)
select date_trunc('minute', now()) - n * interval '1 minute', gen_random_uuid(), 'everyone', 0, 0, 60, 40, 0, '{}', '{}', case when n > 1 then
	'{"timeout": 50, "http 500": 30, "dns": 7, "refused": 6, "reset": 4, "tls": 2, "http 418": 1}'::jsonb end
from generate_series(1, 10) n`

// consoleCauses: failures are stacked by cause, the most frequent at the bottom, with patterns, and with words and sums
// in the legend; what is rare stands together.
func consoleCauses(b *browser, s *system) {
	const chart = `[...document.querySelectorAll("figure.chart")].find((one) => one.querySelector("h3").innerText === "Failures by cause")`
	const path = "/subscriptions/everyone/charts"
	b.open(path)
	b.shows("that nothing failed", chart+"?.querySelector('.chart-empty')?.innerText === 'Nothing failed in this time range.'")
	s.exec(b.t, insertCauses)
	b.open(path)
	b.shows("a canvas", chart+"?.querySelector('canvas')")
	legend := evaluate[[]string](b, `[...`+chart+`.querySelectorAll(".legend li")].map((one) => one.innerText.replace(/\s+/g, " ").trim())`)
	want := []string{"timeout 450", "answered 500 270", "cause not known 100", "host name does not resolve 63", "connection refused 54", "3 other causes 63"}
	if !slices.Equal(legend, want) {
		b.t.Errorf("the legend is %q, want %q", legend, want)
	}
	patterns := evaluate[int](b, "new Set([..."+chart+`.querySelectorAll(".legend svg")].map((one) => (one.querySelector("path")?.getAttribute("d") ?? "") + one.querySelector("rect").getAttribute("stroke"))).size`)
	if patterns != len(want) {
		b.t.Errorf("%d of %d causes differ in what they are drawn with", patterns, len(want))
	}
	colours := evaluate[int](b, `(() => {
		const canvas = `+chart+`.querySelector("canvas"), seen = new Set();
		const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
		for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 250) seen.add(data[i] + "," + data[i + 1] + "," + data[i + 2]);
		return ["retry", "reject", "wait"].filter((name) => {
			const hex = getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
			return seen.has([1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).join(","));
		}).length;
	})()`)
	if colours != 3 {
		b.t.Errorf("%d of 3 colours are drawn", colours)
	}
	b.shows("the sums for a screen reader", chart+`.querySelector("[role=img]").getAttribute("aria-label").startsWith("Failures by cause. timeout: 450, ")`)
	evaluate[bool](b, chart+".querySelector('button').click() || true")
	b.shows("the numbers as a table", "[..."+chart+`.querySelectorAll("td")].some((one) => one.innerText === "30")`)
	for range 2 {
		b.accessible(path)
		b.press("t")
	}
}

// consoleMessage: a lane for each subscriber with its gaps, the numbers as sent, and a view that a refresh leaves
// alone.
func consoleMessage(b *browser, s *system) {
	payload := `{"amount": 12345678901234567890.10, "b":1.0,"a":1e2}`
	id := s.send(b.t, "topic, payload", "'order.exact', $1", payload)
	harness.Eventually(b.t, patience, "the message is dead", func() bool {
		return s.text(b.t, "select status::text from relay.outbox where id = $1", id) == "dead"
	})
	b.open("/m/" + id)
	b.shows("the message's own address", "location.pathname === '/messages/"+id+"'")
	b.shows("two lanes", "document.querySelectorAll('.timeline .lane').length === 2")
	b.shows("attempts with their words", `[...document.querySelectorAll(".lane-picture title")].some((one) => one.textContent.includes("Attempt 1"))`)
	b.shows("the payload in order, with all digits", `document.querySelector(".bytes-body")?.innerText.replace(/\s/g, "") === `+quoted(`{"amount":12345678901234567890.10,"b":1.0,"a":1e2}`))
	b.click("As sent")
	b.shows("the payload byte for byte", "document.querySelector('.bytes-body')?.innerText === "+quoted(payload))
	b.click("As table")
	b.shows("the steps as a table", `[...document.querySelectorAll("main table th[scope=row]")].some((one) => one.innerText === "stock")`)
	for range 3 {
		b.press("R")
		b.shows("the same view after a refresh", "document.querySelector('.bytes-body')?.innerText === "+quoted(payload)+" && document.body.innerText.includes('As picture')")
	}
}

// consoleStages: both views have five stages, and each of them is a filter of the address.
func consoleStages(b *browser) {
	for _, view := range []struct{ path, stage string }{{"/subscriptions/stock", "handle_failed"}, {"/senders/shop", "handle_failed"}} {
		b.open(view.path)
		const segments = "document.querySelectorAll('.stage-segments button')"
		b.shows("all and five stages", segments+".length === 6")
		for n := 1; n < 6; n++ {
			evaluate[bool](b, segments+"["+strconv.Itoa(n)+"].click() || true")
			b.shows("the stage in the address", segments+"["+strconv.Itoa(n)+"].getAttribute('aria-pressed') === 'true' && new URLSearchParams(location.search).has('stage')")
		}
		b.open(view.path + "?since=all&stage=" + view.stage)
		b.shows("rows of the stage", "document.querySelector('tbody tr[data-key]')")
	}
}

// consoleSearch writes into the search box: it knows what is written by its shape, and edits the address alone.
func consoleSearch(b *browser, s *system) {
	id := s.dead(b.t)
	b.open("/jobs")
	for _, tt := range []struct{ written, address string }{
		{id, "/messages/" + id}, {"customer-1", "/messages?key=customer-1"}, {"to:stock status:dead cause:timeout", "/messages?subscription=stock&status=dead&cause=timeout"},
		{`topic:order.* "12.50"`, "/messages?topic=order.*&text=12.50"}, {"two words", "/messages?text=two+words"},
	} {
		b.press("/")
		b.shows("the focus in the search", "document.activeElement.id === 'search'")
		evaluate[bool](b, "document.activeElement.select() || true") // what is typed takes the place of the slash
		for _, letter := range tt.written {
			b.press(string(letter))
		}
		b.press("Enter")
		b.shows("where "+tt.written+" leads", "location.pathname + location.search === "+quoted(tt.address))
		b.loaded()
	}
	b.open("/messages?since=all&status=dead")
	b.shows("the title", "document.title.startsWith('Dead · Messages · relay')")
	b.shows("rows", "document.querySelector('tbody tr[data-key]')")
	b.press("j")
	b.shows("the focus on a row", row)
	b.press("?")
	b.shows("a dialog", "document.querySelector('dialog[open]')")
	b.press("Escape")
	b.shows("the focus on the row again", row)
	evaluate[bool](b, "localStorage.setItem('relay.keys', 'no') || true")
	b.open("/jobs")
	b.press("g", "m", "?")
	if !evaluate[bool](b, "location.pathname === '/jobs' && !document.querySelector('dialog[open]')") {
		b.t.Error("single letters act although they are switched off")
	}
	evaluate[bool](b, "localStorage.removeItem('relay.keys') || true")
}

// consoleLateAnswers: an answer to a filter that is no longer asked for changes nothing.
func consoleLateAnswers(b *browser) {
	b.open("/messages?since=all")
	evaluate[bool](b, `(() => {
		const real = window.fetch;
		window.fetch = (url, init) => String(url).includes("since=15m")
			? new Promise((done) => setTimeout(() => { window.late = true; done(new Response('{"items": [], "complete": true, "as_of": "2026-01-01T00:00:00Z", "took_ms": 1}', { headers: { "Content-Type": "application/json" } })); }, 700))
			: real(url, init);
		return true;
	})()`)
	const choose = `[...document.querySelectorAll(".range button")]`
	evaluate[bool](b, choose+"[0].click() || true")
	b.shows("the first filter", "location.search === '?since=15m'")
	evaluate[bool](b, choose+"[1].click() || true")
	b.shows("the second filter", "location.search === '?since=1h'")
	b.shows("the late answer", "window.late")
	b.loaded()
	b.shows("rows", "document.querySelectorAll('tbody tr[data-key]').length > 0 && !document.body.innerText.includes('No message matches')")
}

// consoleETags: a page that asks again for what has not changed gets 304.
func consoleETags(b *browser) {
	b.open("/audit?since=all")
	b.press("R")
	b.shows("an answer without a body", `performance.getEntriesByType("resource").some((one) => one.name.includes("/api/v1/audit") && one.responseStatus === 304)`)
}

// TestConsoleFirstRun: before the first message the overview says what to do, and from then on how it goes.
func TestConsoleFirstRun(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_ADMIN_TOKEN="+operatorToken, "RELAY_CAPTURE=notify")
	b := openBrowser(t, "http://"+s.relay.admin)
	b.signIn(operatorToken, "Ada")
	b.open("/")
	b.has("Your first message")
	b.shows("the INSERT with the database's name", `[...document.querySelectorAll(".first-run pre")].some((one) => one.innerText.includes("insert into relay.outbox") && one.innerText.includes(`+quoted(s.text(t, "select current_database()"))+`))`)
	b.accessible("the first run")
	b.click("Send one from here")
	b.shows("the message's page", "location.pathname.startsWith('/messages/')")
	b.has("Handled")
	b.press("g", "o")
	b.shows("the overview", "document.querySelector('.tiles') && !document.querySelector('.first-run')")
}
