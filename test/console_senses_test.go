package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// consoleForcedColors: with the colours of the person's own system, glyphs have the colour of the text
// beside them, and what is chosen still differs from what is not.
func consoleForcedColors(b *browser) {
	features := []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		b.t.Fatal(err)
	}
	defer func() { _, _ = chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{}) }()
	for _, path := range []string{"/messages?since=all", "/failures", "/subscriptions/stock"} {
		b.open(path)
		b.shows("forced colours", `matchMedia("(forced-colors: active)").matches`)
		b.accessible(path + " with forced colours")
		if lost := evaluate[int](b, `[...document.querySelectorAll(".status")].filter((one) => {
			const glyph = one.querySelector("svg");
			return glyph && getComputedStyle(glyph).color !== getComputedStyle(one.querySelector(".word") ?? one).color;
		}).length`); lost > 0 {
			b.t.Errorf("%s: %d glyphs have not the colour of their words", path, lost)
		}
		if same := evaluate[int](b, `[...document.querySelectorAll(".segments, .tabs")].filter((group) => {
			const chosen = group.querySelector("[aria-pressed=true], [aria-current]"), other = group.querySelector("[aria-pressed=false], a:not([aria-current])");
			return chosen && other && getComputedStyle(chosen).outlineStyle === getComputedStyle(other).outlineStyle;
		}).length`); same > 0 {
			b.t.Errorf("%s: in %d groups what is chosen looks like what is not", path, same)
		}
	}
}

// consoleClock: relative times follow the server's clock, whatever the browser's says.
func consoleClock(b *browser, s *system) {
	const late = `(() => {
		const real = Date, hour = 3600000;
		window.Date = class extends real { constructor(...a) { super(...(a.length ? a : [real.now() + hour])); } static now() { return real.now() + hour; } };
	})()`
	script, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: late})
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() {
		_, _ = chromedp.Call(b.ctx, page.RemoveScriptToEvaluateOnNewDocument, page.RemoveScriptToEvaluateOnNewDocumentParams(script))
	}()
	id := s.send(b.t, "topic, payload", "'order.now', '{}'")
	b.open("/messages?topic=order.now&since=all")
	b.shows("the browser's clock an hour late", `Math.abs(Date.parse(document.querySelector('tr[data-key="`+id+`"] time').dateTime) - Date.now()) > 3000000`)
	b.shows("an age by the server's clock", `/sec|now|ago/.test(document.querySelector('tr[data-key="`+id+`"] time').innerText) && !/hr|hour/.test(document.querySelector('tr[data-key="`+id+`"] time').innerText)`)
	b.open("/messages?topic=order.now&since=1h")
	b.click("Copy as")
	const pin = `[...document.querySelectorAll("[role=menuitem]")].find((one) => one.innerText.startsWith("Pin the range"))`
	b.shows("the menu", pin)
	evaluate[bool](b, pin+".click() || true")
	b.shows("the range by the server's clock", fmt.Sprintf("Math.abs(Date.parse(new URLSearchParams(location.search).get('until')) - %d) < 1800000", time.Now().UnixMilli()))
}

// consoleTips: what a mouse finds by hovering, a keyboard finds by the focus.
func consoleTips(b *browser, s *system) {
	id := s.text(b.t, "select min(id::text) from relay.outbox where status = 'dead'")
	b.open("/messages?id=" + id)
	b.press("j")
	b.shows("the row's exact time in a tip", `document.querySelector('#tip[role=tooltip]')?.innerText.includes("Z") && document.activeElement.getAttribute("aria-describedby") === "tip"`)
	b.press("Escape")
	b.shows("no tip after Escape", "!document.querySelector('#tip')")
}

// TestConsoleSenses looks at the console with forced colours, a wrong clock, and by the focus alone.
func TestConsoleSenses(t *testing.T) {
	t.Parallel()
	s := newTroubledSystem(t)
	s.dead(t)
	b := openBrowser(t, "http://"+s.relay.admin)
	b.signIn(operatorToken, "Ada")
	t.Run("tips by the focus", func(t *testing.T) { consoleTips(b.of(t), s) })
	t.Run("forced colours", func(t *testing.T) { consoleForcedColors(b.of(t)) })
	t.Run("the clock is the server's", func(t *testing.T) { consoleClock(b.of(t), s) })
}
