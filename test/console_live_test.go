package test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"relay/test/harness"
)

// TestConsoleLive looks at what happens while a page is open: what a screen reader says, how a page asks a relay that
// fails, how a chart is dragged over, and how a person holds a job on the reins.
func TestConsoleLive(t *testing.T) {
	t.Parallel()
	s := newTroubledSystem(t)
	s.dead(t)
	b := openBrowser(t, "http://"+s.relay.admin)
	b.signIn(operatorToken, "Ada")
	t.Run("a screen reader says results and no counts", func(t *testing.T) { consoleAnnouncements(b.of(t), s) })
	t.Run("a page asks less often while the relay fails", func(t *testing.T) { consoleBackOff(b.of(t)) })
	t.Run("dragging over a chart opens the list of that time", func(t *testing.T) { consoleDrag(b.of(t)) })
	t.Run("a job is stopped, resumed and given a rate", func(t *testing.T) { consoleJobButtons(b.of(t), s) })
}

// listenIn keeps what a screen reader says: changes within a region that was in the page before them.
const listenIn = `(() => {
	window.heard = [];
	new MutationObserver((all) => {
		for (const { target } of all) {
			const region = (target.nodeType === 1 ? target : target.parentElement)?.closest("[aria-live], [role=status], [role=alert]");
			if (region?.innerText.trim()) window.heard.push(region.innerText.replace(/\s+/g, " ").trim());
		}
	}).observe(document.body, { childList: true, subtree: true, characterData: true });
	return true;
})()`

// hears waits until a screen reader has said something.
func (b *browser) hears(words string) {
	b.t.Helper()
	b.shows("to a screen reader "+quoted(words), "window.heard.some((one) => one.includes("+quoted(words)+"))")
}

func consoleAnnouncements(b *browser, s *system) {
	b.open("/messages?since=all")
	evaluate[bool](b, listenIn)
	for n := range 3 {
		topic := "order.heard" + strconv.Itoa(n)
		s.send(b.t, "topic, payload, deliver_at", "$1, '{}', now() + interval '1 day'", topic)
		b.press("R")
		b.has(topic)
	}
	if heard := evaluate[[]string](b, "window.heard"); len(heard) > 0 {
		b.t.Errorf("a refresh that nobody asked for is said: %q", heard)
	}
	b.press("j", "y")
	b.hears("Copied: id")
	evaluate[bool](b, `[...document.querySelectorAll(".range button")][1].click() || true`)
	b.hears("shown")
	b.open("/messages?since=all&topic=order.later") // it is pending
	evaluate[bool](b, listenIn)
	b.press("j", "e")
	b.hears("0 retried, 1 not")
	b.open("/messages?since=all&status=dead")
	evaluate[bool](b, listenIn)
	b.press("j", "e")
	b.hears("1 retried")
	evaluate[bool](b, "(window.fetch = () => Promise.reject(new TypeError('gone'))) && true")
	b.press("R")
	b.hears("The relay does not answer")
}

// consoleBackOff has one list fail, and looks for how long the page waits after each.
func consoleBackOff(b *browser) {
	b.open("/audit?since=all")
	rows := evaluate[int](b, "document.querySelectorAll('tbody tr[data-key]').length")
	evaluate[bool](b, `(() => {
		const wait = window.setTimeout, ask = window.fetch;
		const answer = JSON.stringify({ code: "unavailable", status: 503, title: "", detail: "", parameters: {} });
		window.waits = [];
		window.fails = true;
		window.setTimeout = (act, ms, ...rest) => {
			const polls = ms >= 2000 && ms <= 30000;
			if (polls) window.waits.push(ms);
			return wait(act, polls ? 20 : ms, ...rest);
		};
		window.fetch = (...all) => window.fails && String(all[0]).includes("/audit") ? Promise.resolve(new Response(answer, { status: 503 })) : ask(...all);
		return true;
	})()`)
	b.press("R")
	b.shows("the longest wait, again and again", "window.waits.filter((ms) => ms === 30000).length > 3")
	waits := evaluate[[]int](b, "window.waits")
	waits = slices.DeleteFunc(waits, func(ms int) bool { return ms == 10000 }) // the pace of what the frame asks for
	if !slices.IsSorted(waits) {
		b.t.Errorf("the page waits %v ms, and does not wait longer after each failure", waits)
	}
	if steps := slices.Compact(slices.Clone(waits)); !slices.Equal(steps, []int{2000, 4000, 8000, 16000, 30000}) {
		b.t.Errorf("the page waits %v ms", steps)
	}
	b.shows("why, and what it shows meanwhile", `document.querySelector(".band")?.innerText.includes("The database does not answer since")`)
	if now := evaluate[int](b, "document.querySelectorAll('tbody tr[data-key]').length"); now != rows || rows == 0 {
		b.t.Errorf("%d rows are left of %d", now, rows)
	}
	evaluate[bool](b, "(window.waits = []) && !(window.fails = false)")
	b.shows("the page without a complaint", "!document.querySelector('.band')")
	b.shows("the usual pace, and no other", "window.waits.filter((ms) => ms === 10000).length > 6")
	if wrong := evaluate[[]int](b, "window.waits.filter((ms) => ms !== 10000)"); len(wrong) > 1 { // one may have been under way
		b.t.Errorf("after the relay has answered the page waits %v ms", wrong)
	}
}

// drag moves the mouse over an element with its button held, from one share of the width to another.
func (b *browser) drag(element string, from, to float64) {
	b.t.Helper()
	at := evaluate[[]float64](b, `(() => {
		const element = `+element+`;
		element.scrollIntoView({ block: "center" });
		const box = element.getBoundingClientRect();
		return [box.left, box.top + box.height / 2, box.width];
	})()`)
	x := func(share float64) float64 { return at[0] + share*at[2] }
	left, held := chromedp.Button("left"), func(p *input.DispatchMouseEventParams) { p.Buttons = 1 }
	moves := []chromedp.Action[chromedp.Void]{
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x(from), at[1]),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, x(from), at[1], left, held, chromedp.ClickCount(1)),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x((from+to)/2), at[1], left, held),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x(to), at[1], left, held),
		chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, x(to), at[1], left, chromedp.ClickCount(1)),
	}
	for _, move := range moves {
		if err := chromedp.Do(b.ctx, move); err != nil {
			b.t.Fatal(err)
		}
	}
}

func consoleDrag(b *browser) {
	for _, page := range []struct{ path, subscription string }{{"/", ""}, {"/subscriptions/stock/charts", "stock"}} {
		b.open(page.path)
		const plot = `document.querySelector("figure.chart .u-over")`
		b.shows("a chart", plot)
		b.drag(plot, 0.25, 0.75)
		b.shows("the list of messages", "location.pathname === '/messages'")
		const query = "new URLSearchParams(location.search)"
		if name := evaluate[string](b, query+`.get("subscription") ?? ""`); name != page.subscription {
			b.t.Errorf("%s: the list is of the subscriber %q", page.path, name)
		}
		const span = `(Date.parse(` + query + `.get("until")) - Date.parse(` + query + `.get("since"))) / 60000`
		if minutes := evaluate[float64](b, span); minutes < 25 || minutes > 35 {
			b.t.Errorf("%s: half of a chart of an hour is a list of %.1f minutes", page.path, minutes)
		}
		b.loaded()
		evaluate[bool](b, "history.back() || true")
		b.shows("the charts again", "location.pathname === "+quoted(page.path)+" && "+plot)
	}
}

// consoleJobButtons sends past messages again, slowly, and holds them up on their way.
func consoleJobButtons(b *browser, s *system) {
	job := func(of string) string {
		return s.text(b.t, "select coalesce(("+of+")::text, '') from relay.job order by created_at desc limit 1")
	}
	until := func(what, of, want string) {
		b.t.Helper()
		harness.Eventually(b.t, patience, "the job is "+what, func() bool { return job(of) == want })
	}
	replay := func() {
		b.t.Helper()
		b.open("/subscriptions/billing")
		b.click("Replay …")
		b.fill("Messages per second, at most", "1")
		const start = `[...document.querySelectorAll("dialog[open] .button.primary")].find((one) => /^Replay \d+$/.test(one.innerText) && !one.disabled)`
		b.shows("a button that names the number", start)
		evaluate[bool](b, start+".click() || true")
		b.has("The job begins in 5 seconds.")
	}
	replay()
	b.click("Stop")
	until("stopped before it began", "status", "stopped")
	if done := job("done"); done != "0" {
		b.t.Errorf("%s messages were sent within the time to think again", done)
	}

	replay()
	b.click("Open")
	b.shows("the job's page", "location.pathname.startsWith('/jobs/')")
	until("on its way", "case when done > 0 then 'yes' end", "yes")
	b.click("Stop")
	until("stopped", "status", "stopped")
	b.shows("that it is stopped", `document.querySelector("h1").innerText.includes("Stopped")`)
	b.click("Change the rate")
	b.fill("Messages per second, at most", "nonsense")
	b.has("A number above 0, or nothing.")
	b.fill("Messages per second, at most", "2")
	b.click("Go on with it")
	until("on its way at another rate", "status || ' ' || rate", "running 2")
	b.shows("the rate", `document.querySelector(".job-card").innerText.includes("2/s")`)
	b.click("Stop")
	until("stopped", "status", "stopped")
	b.click("Resume")
	until("on its way again", "status", "running")
	b.click("Change the rate") // of a job that runs
	b.fill("Messages per second, at most", "")
	b.click("Go on with it")
	until("done", "status", "done")
	b.shows("that it is done", `document.querySelector("h1").innerText.includes("Done")`)
	b.click("The same again")
	b.shows("the same job, not begun yet", `document.querySelector("dialog[open]")?.innerText.includes("billing")`)
	b.press("Escape")
	actions := s.text(b.t, "select string_agg(distinct action, ' ' order by action) from relay.audit where kind = 'job' and actor = 'Ada'")
	for _, want := range []string{"job.start", "job.stop", "job.resume", "job.rate"} {
		if !strings.Contains(actions, want) {
			b.t.Errorf("the audit has %s, and no %s", actions, want)
		}
	}
	if _, err := time.Parse(time.RFC3339, evaluate[string](b, `document.querySelector(".job-card time").dateTime`)); err != nil {
		b.t.Error(err)
	}
}
