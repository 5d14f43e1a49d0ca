package test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"relay/test/harness"
)

// TestConsoleNavigation looks at how a person gets from one page to another, and at what a page offers for what it
// shows.
func TestConsoleNavigation(t *testing.T) {
	t.Parallel()
	s := newTroubledSystem(t, "RELAY_LEASE_TTL=1m") // a relay forgets a silent one after ten times as long
	s.dead(t)
	s.subscribeLanes(t)
	b := openBrowser(t, "http://"+s.relay.admin)
	b.signIn(operatorToken, "Ada")
	t.Run("a list offers the jobs that its filter allows", func(t *testing.T) { consoleJobFilters(b.of(t), s) })
	t.Run("a silent relay does not run", func(t *testing.T) { consoleSilentRelay(b.of(t), s) })
	t.Run("an open circuit says since when and how often it is probed", func(t *testing.T) { consoleCircuit(b.of(t), s) })
	t.Run("more than six lanes collapse", func(t *testing.T) { consoleLanes(b.of(t), s) })
	t.Run("the neighbours of a message", func(t *testing.T) { consoleNeighbours(b.of(t), s) })
	t.Run("a row opens in a tab of its own", func(t *testing.T) { consoleTabs(b.of(t)) })
	t.Run("the search box suggests", func(t *testing.T) { consoleSuggestions(b.of(t)) })
	t.Run("a hidden page asks for nothing", func(t *testing.T) { consoleHidden(b.of(t)) })
}

// subscribeLanes makes subscriptions at which all is well, calm-1 to calm-7, and others at which everything dies at
// once, fails-1 to fails-7.
func (s *system) subscribeLanes(t testing.TB) {
	t.Helper()
	failing := newFailingReceiver(t)
	const subscribe = `insert into relay.subscription (name, topics, target, max_attempts) values ($1, $2, $3, 1)`
	for n := 1; n <= 7; n++ {
		calm, fails := []string{"lanes.eight"}, []string{"lanes.many"}
		if n <= 6 {
			calm = append(calm, "lanes.six")
		}
		if n == 1 {
			calm, fails = append(calm, "lanes.many"), append(fails, "lanes.eight")
		}
		s.exec(t, subscribe, "calm-"+strconv.Itoa(n), calm, s.receiver.URL+"/calm")
		s.exec(t, subscribe, "fails-"+strconv.Itoa(n), fails, failing.URL+"/fail")
	}
}

// openMenu opens the menu of what can be done with all that a list shows, and returns what it offers, and why it does
// not offer the rest.
func (b *browser) openMenu() (offered []string, hints string) {
	b.t.Helper()
	const items = `[...document.querySelectorAll(".result-line [role=menuitem]")]`
	b.shows("a menu for all that match", `document.querySelector(".result-line .menu > button")`)
	evaluate[bool](b, `document.querySelector(".result-line .menu > button").click() || true`)
	b.shows("the menu", items+".length === 3")
	hints = evaluate[string](b, items+`.map((one) => one.querySelector(".menu-hint")?.innerText ?? "").filter(Boolean).join(" | ")`)
	return evaluate[[]string](b, items+`.filter((one) => !one.ariaDisabled).map((one) => one.innerText.replace("…", "").trim())`), hints
}

// consoleJobFilters compares what the pages offer for a filter with what the API takes.
func consoleJobFilters(b *browser, s *system) {
	s.waitStatus(b.t, s.send(b.t, "topic, payload, source", "'lanes.six', '{}', 'shop'"), "done")
	for _, tt := range []struct{ path, offered, try, hint string }{
		{"/messages?since=all", "Retry Cancel Replay", "Cancel", ""},
		{"/messages?since=all&status=dead", "Retry Cancel", "Retry", "remove the filter Status first"},
		{"/messages?since=all&status=pending", "Cancel", "Cancel", "pending messages go by themselves"},
		{"/messages?since=all&status=done", "Retry", "Retry", "what this filter shows has ended"},
		{"/messages?since=all&subscription=stock", "Retry Cancel", "Cancel", "remove the filter Subscriber first"},
		{"/messages?since=all&delivery_status=handled", "Replay", "Replay", "what this filter shows has ended"},
		{"/messages?since=all&delivery_status=dead,handled", "Retry Cancel Replay", "Retry", ""},
		{"/senders/shop?since=all&stage=handle_failed", "", "", "no job goes by the filter Stage"},
		{"/senders/shop?since=all&stage=handled", "Retry", "Retry", "remove the filter Status first"},
	} {
		b.open(tt.path)
		offered, hints := b.openMenu()
		if got := strings.Join(offered, " "); got != tt.offered || !strings.Contains(hints, tt.hint) {
			b.t.Errorf("%s offers %q and says %q, want %q and %q", tt.path, got, hints, tt.offered, tt.hint)
		}
		if kind := tt.try; slices.Contains(offered, kind) {
			b.click(kind + "…")
			b.shows("a dialog", "document.querySelector('dialog[open]')")
			if kind == "Replay" {
				evaluate[bool](b, `(() => {
					const choice = document.querySelector("dialog[open] select");
					choice.value = "billing";
					return choice.dispatchEvent(new Event("change", { bubbles: true }));
				})()`)
			}
			b.shows("what the API would do with "+tt.path, "document.querySelector('dialog[open] .preview, dialog[open] .problem')")
			if evaluate[bool](b, "!!document.querySelector('dialog[open] .problem')") {
				b.t.Errorf("%s offers %s, and the API refuses it: %s", tt.path, kind, evaluate[string](b, "document.querySelector('dialog[open]').innerText"))
			}
		}
	}
	b.open("/messages?since=all&status=pending,dead")
	b.openMenu()
	b.click("Retry…")
	b.has("Replay is not offered: a replay takes messages whatever became of them")
	b.shows("what is left out", `/Left out:.*Pending/.test(document.querySelector("dialog[open] .preview")?.innerText)`)
	const replay = `[...document.querySelectorAll("dialog[open] .segments button")].find((one) => one.innerText === "Replay")`
	if !evaluate[bool](b, replay+".disabled") {
		b.t.Error("the dialog offers a replay")
	}
	b.accessible("the dialog of a job that cannot be a replay")
	b.press("Escape")
	b.open("/subscriptions/stock?since=all&reason=key_blocked")
	b.press("j", "x")
	b.click("Everything that matches …")
	b.has("Retry is not offered: no job goes by the filter Waits because")
	if !evaluate[bool](b, `document.querySelector("dialog[open] .button.primary").disabled`) {
		b.t.Error("the dialog starts a job that would touch other deliveries than those shown")
	}
	b.press("Escape")
}

// consoleSilentRelay has a second relay that died an hour ago, and whose shards the first one has.
func consoleSilentRelay(b *browser, s *system) {
	s.exec(b.t, `insert into relay.instance (id, name, version, seen_at) values (gen_random_uuid(), 'lost-relay', 'v0', now() - interval '1 hour')`)
	const line = `[...document.querySelectorAll(".conditions li")].find((one) => one.innerText.includes("lost-relay"))`
	b.open("/")
	b.shows("the relay that died", line+"?.classList.contains('bad')")
	b.shows("that it is silent", line+".innerText.includes('silent, it did not end in order')")
	b.shows("the relay that runs", `[...document.querySelectorAll(".conditions li:not(.bad)")].some((one) => /owns \d+ shards/.test(one.innerText))`)
	b.accessible("the overview with a silent relay")
}

// consoleCircuit has a receiver that is not there, and looks at each place that says so.
func consoleCircuit(b *browser, s *system) {
	const subscribe = `insert into relay.subscription (name, topics, target, backoff) values
		('gone', '{gone.*}', 'http://127.0.0.1:1/', '{2h,3h}'), ('usual', '{gone.*}', 'http://127.0.0.1:1/', null)`
	s.exec(b.t, subscribe)
	s.exec(b.t, "insert into relay.outbox (topic) select 'gone.first' from generate_series(1, 20)")
	const waits = `select coalesce(min(message_id::text), '') from relay.delivery where subscription = 'gone' and reason = 'circuit_open' and status = 'waiting'`
	b.open("/subscriptions/gone")
	b.shows("the circuit on the subscription's page", `/Circuit open\s+\S.* · a retry that is due probes it; retries go after 2 h and 3 h/.test(document.querySelector(".facts-line").innerText)`)
	b.shows("since when", `Date.parse(document.querySelector(".facts-line time").dateTime) > 0`)
	s.exec(b.t, "insert into relay.outbox (topic) values ('gone.later')")
	b.open("/")
	const need = `[...document.querySelectorAll(".need")].find((one) => one.innerText.includes("Circuit open at gone"))`
	b.shows("the circuit among what needs a person, and since when", need+`?.innerText.includes("a retry that is due probes it") && `+need+`.querySelector("time")`)
	var id string
	harness.Eventually(b.t, patience, "a message waits for the circuit", func() bool { id = s.text(b.t, waits); return id != "" })
	b.open("/messages/" + id)
	b.has("gone: Waits: circuit open: the receiver is down, and a retry that is due probes it.")
	b.open("/subscriptions/usual")
	b.has("retries go after 1 h") // as the relay's variable says
}

// consoleLanes: of many lanes those are hidden at which all is well.
func consoleLanes(b *browser, s *system) {
	const lanes, more = `document.querySelectorAll(".timeline .lane").length`, `[...document.querySelectorAll("section[aria-labelledby=timeline-head] button")].map((one) => one.innerText).find((one) => one.includes("more subscriber"))`
	for _, tt := range []struct {
		topic, status string
		shown, all    int
		more          string
	}{
		{"lanes.six", "done", 6, 6, ""}, {"lanes.eight", "dead", 6, 8, "2 more subscribers · show"}, {"lanes.many", "dead", 7, 8, "1 more subscriber · show"},
	} {
		id := s.send(b.t, "topic, payload", "$1, '{}'", tt.topic)
		s.waitStatus(b.t, id, tt.status)
		b.open("/messages/" + id)
		b.shows(fmt.Sprintf("%d lanes of %s", tt.shown, tt.topic), lanes+" === "+strconv.Itoa(tt.shown))
		if got := evaluate[string](b, "("+more+") ?? ''"); got != tt.more {
			b.t.Errorf("%s offers %q, want %q", tt.topic, got, tt.more)
		}
		if tt.more == "" {
			continue
		}
		b.shows("what has died first", `document.querySelector(".timeline .lane .lane-name").innerText.includes("fails-1")`)
		b.click(tt.more)
		b.shows("all lanes", fmt.Sprintf("%s === %d && !(%s)", lanes, tt.all, more))
		b.press("R")
		b.loaded()
		b.shows("all lanes after a refresh", fmt.Sprintf("%s === %d && !(%s)", lanes, tt.all, more))
	}
}

// neighbourKey is the key of three messages that follow one another.
const neighbourKey = "three-in-a-row"

func consoleNeighbours(b *browser, s *system) {
	var ids []string
	for range 3 {
		ids = append(ids, s.send(b.t, "topic, key, payload", "'lanes.six', $1, '{}'", neighbourKey))
	}
	for _, id := range ids {
		s.waitStatus(b.t, id, "done")
	}
	at := func(n int, previous, next bool) {
		b.t.Helper()
		const links = `[...document.querySelectorAll("main dd a.button")].map((one) => one.innerText + " " + one.getAttribute("href"))`
		var want []string
		if previous {
			want = append(want, "← previous /messages/"+ids[n-1])
		}
		if next {
			want = append(want, "next → /messages/"+ids[n+1])
		}
		b.shows(fmt.Sprintf("message %d and its neighbours", n), fmt.Sprintf("location.pathname === %s && %s.join() === %s", quoted("/messages/"+ids[n]), links, quoted(strings.Join(want, ","))))
	}
	b.open("/messages/" + ids[1])
	at(1, true, true)
	b.click("← previous")
	at(0, false, true)
	b.click("next →")
	at(1, true, true)
	b.click("next →")
	at(2, true, false)
	evaluate[bool](b, "history.back() || true")
	at(1, true, true)
	b.click(neighbourKey)
	b.shows("the messages of the key, the newest first", fmt.Sprintf(`location.search === "?key=%s&since=all" && [...document.querySelectorAll("tbody tr[data-key]")].map((one) => one.dataset.key).join() === %s`,
		neighbourKey, quoted(strings.Join([]string{ids[2], ids[1], ids[0]}, ","))))
}

// press is a press of the mouse.
type press struct {
	element, with string
	options       []chromedp.MouseOption
}

// consoleTabs presses rows as a person does for a new tab: on the link, and elsewhere in the row.
func consoleTabs(b *browser) {
	b.open("/messages?since=all&key=" + neighbourKey)
	const first = `document.querySelector("tbody tr[data-key]")`
	b.shows("rows", first)
	id := evaluate[string](b, first+".dataset.key")
	middle, control := chromedp.Button("middle"), []chromedp.MouseOption{chromedp.Button("left"), chromedp.ButtonModifiers(chromedp.ModifierCtrl)}
	for _, p := range []press{
		{first + `.querySelector("a.row-link")`, "the middle button", []chromedp.MouseOption{middle}}, {first + `.querySelector("a.row-link")`, "Ctrl", control},
		{first + `.querySelector("td.w-progress")`, "the middle button", []chromedp.MouseOption{middle}}, {first + `.querySelector("td.w-progress")`, "Ctrl", control},
	} {
		before := b.tabs()
		b.mouse(p)
		var opened *target.Info
		harness.Eventually(b.t, patience, "a tab opens by "+p.with+" on "+p.element, func() bool {
			for _, tab := range b.tabs() {
				if !slices.ContainsFunc(before, func(one *target.Info) bool { return one.TargetID == tab.TargetID }) && tab.URL == b.base+"/messages/"+id {
					opened = tab
				}
			}
			return opened != nil
		})
		if _, err := chromedp.CallBrowser(b.ctx, target.CloseTarget, target.CloseTargetParams{TargetID: opened.TargetID}); err != nil {
			b.t.Fatal(err)
		}
		if at := evaluate[string](b, "location.pathname"); at != "/messages" {
			b.t.Fatalf("%s leads this tab to %s", p.with, at)
		}
	}
	for _, path := range []string{"/subscriptions", "/senders", "/keys", "/subscriptions/stock?since=all"} {
		b.open(path)
		b.shows("a link in each row of "+path, `(() => {
			const rows = [...document.querySelectorAll("tbody tr.opens[data-key]")];
			return rows.length > 0 && rows.every((one) => one.querySelector("a.row-link")?.getAttribute("href")?.startsWith("/"));
		})()`)
	}
}

// tabs are the pages that the browser has open.
func (b *browser) tabs() (pages []*target.Info) {
	b.t.Helper()
	all, err := chromedp.Targets(b.ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, one := range all {
		if one.Type == "page" {
			pages = append(pages, one)
		}
	}
	return pages
}

// mouse presses the middle of an element.
func (b *browser) mouse(p press) {
	b.t.Helper()
	at := evaluate[[]float64](b, `(() => {
		const box = (`+p.element+`).getBoundingClientRect();
		return [box.left + Math.min(box.width / 2, 20), box.top + box.height / 2];
	})()`)
	options := append([]chromedp.MouseOption{chromedp.ClickCount(1)}, p.options...)
	for _, kind := range []input.DispatchMouseEventType{input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased} {
		if err := chromedp.Do(b.ctx, chromedp.MouseEvent(kind, at[0], at[1], options...)); err != nil {
			b.t.Fatal(err)
		}
	}
}

// consoleSuggestions writes a beginning into the search box, and takes what it suggests.
func consoleSuggestions(b *browser) {
	b.open("/jobs")
	b.shows("a sender's topics", `fetch("/api/v1/senders").then((answer) => answer.json()).then(({ items }) => items.some((one) => one.source === "shop" && ["order.created", "invoice.issued", "stock.changed"].every((topic) => one.newest_topics.includes(topic))))`)
	const options = `[...document.querySelectorAll("#suggestions [role=option]")]`
	write := func(text string) {
		b.t.Helper()
		evaluate[bool](b, "document.getElementById('search').focus() || true")
		for _, letter := range text {
			b.press(string(letter))
		}
	}
	suggests := func(want ...string) {
		b.t.Helper()
		b.shows(fmt.Sprintf("%q", want), options+`.map((one) => one.innerText.replace(/\s+/g, " ").trim()).join() === `+quoted(strings.Join(want, ",")))
	}
	leads := func(to string) {
		b.t.Helper()
		b.shows("where it leads", "location.pathname + location.search === "+quoted(to)+" && !document.querySelector('#suggestions')")
		b.loaded()
	}
	take := func(name string) {
		b.t.Helper()
		evaluate[bool](b, options+`.find((one) => one.innerText.includes(`+quoted(name)+`)).dispatchEvent(new PointerEvent("pointerdown", { bubbles: true, cancelable: true })) || true`)
	}

	write("")
	suggests("filter key:", "filter topic:", "filter source:", "filter to:", "filter status:", "filter cause:")
	take("to:")
	b.shows("the beginning of a filter", "document.activeElement.id === 'search' && document.activeElement.value === 'to:'")
	b.press("s", "t", "o")
	suggests("subscriber stock")
	b.press(kb.ArrowDown)
	b.shows("the chosen suggestion to a screen reader", `document.getElementById(document.activeElement.getAttribute("aria-activedescendant"))?.ariaSelected === "true"`)
	b.press("Enter")
	leads("/messages?subscription=stock")

	write("invo")
	suggests("key invo", "topic invoice.issued", "text invo")
	b.press(kb.ArrowDown, kb.ArrowDown, "Enter")
	leads("/messages?topic=invoice.issued")

	write("status:dead topic:stock")
	suggests("topic stock.changed")
	take("stock.changed")
	leads("/messages?status=dead&topic=stock.changed")

	write("from:sh")
	suggests("source shop")
	take("shop")
	leads("/messages?source=shop")

	write("sto")
	b.press("Escape")
	b.shows("no suggestions", "!document.querySelector('#suggestions') && document.activeElement.id !== 'search'")
}

// countRequests has the page ask at a great pace, and counts what it asks for, what it waits for, and what it has still
// to do.
const countRequests = `(() => {
	const wait = window.setTimeout, drop = window.clearTimeout, ask = window.fetch;
	const polls = new Set();
	window.asked = [];
	window.under = 0;
	window.still = () => polls.size === 0 && window.under === 0;
	window.setTimeout = (act, ms, ...rest) => {
		if (!(ms >= 1000 && ms <= 30000)) return wait(act, ms, ...rest);
		const timer = wait(() => { polls.delete(timer); act(); }, 20);
		polls.add(timer);
		return timer;
	};
	window.clearTimeout = (timer) => { polls.delete(timer); drop(timer); };
	window.fetch = (...all) => {
		window.asked.push(String(all[0]));
		window.under += 1;
		return ask(...all).finally(() => { window.under -= 1; });
	};
	return true;
})()`

// consoleHidden hides the page, waits until it has nothing more to do, and shows it again.
func consoleHidden(b *browser) {
	hide := func(hidden bool) {
		evaluate[bool](b, fmt.Sprintf(`(() => {
			for (const [name, value] of [["hidden", %v], ["visibilityState", %v ? "hidden" : "visible"]]) Object.defineProperty(document, name, { value, configurable: true });
			window.asked = [];
			return document.dispatchEvent(new Event("visibilitychange"));
		})()`, hidden, hidden))
	}
	const list = `window.asked.filter((one) => one.includes("/api/v1/messages")).length`
	b.open("/messages?since=all")
	evaluate[bool](b, countRequests)
	b.press("R") // so that each wait of before is over
	b.shows("that it polls", list+" > 3")
	hide(true)
	b.shows("that it waits for nothing", "window.still()")
	if asked := evaluate[[]string](b, "window.asked"); len(asked) > 0 {
		b.t.Errorf("hidden, the page asks for %q", asked)
	}
	hide(false)
	b.shows("that it polls again", list+" > 3 && window.asked.some((one) => one.includes('/api/v1/overview'))")
}
