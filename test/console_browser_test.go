package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a window of Chromium that looks at one relay's console.
type browser struct {
	t    testing.TB
	ctx  context.Context
	base string

	mu      sync.Mutex
	reports []string // of broken policies, exceptions and dialogs
}

// patience is how long a page may take to show what a test waits for, on a machine with many tests.
const patience = 45 * time.Second

// openBrowser starts Chromium with a profile of its own. At the end the test fails if a page broke its policy, threw
// an exception or opened a dialog.
func openBrowser(t testing.TB, base string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.UserDataDir(t.TempDir()))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	b := &browser{t: t, ctx: ctx, base: base}
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // it may have ended
		cancel()
		stop()
		if reports := b.noticed(); len(reports) > 0 {
			t.Errorf("the pages reported:\n%s", strings.Join(reports, "\n"))
		}
	})
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900)); err != nil {
		t.Fatalf("start Chromium: %v: scripts/install-test installs it", err)
	}
	b.listen()
	return b
}

// listen notes what a page must never do.
func (b *browser) listen() {
	entries, thrown := chromedp.Events(b.ctx, log.EntryAdded), chromedp.Events(b.ctx, runtime.ExceptionThrown)
	dialogs := chromedp.Events(b.ctx, page.JavascriptDialogOpening)
	go func() {
		for e, err := range entries {
			if err != nil {
				return
			}
			// Answers such as 401 and 404 are entries too, of the network.
			if string(e.Entry.Level) == "error" && string(e.Entry.Source) != "network" {
				b.note(fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text))
			}
		}
	}()
	go func() {
		for e, err := range thrown {
			if err != nil {
				return
			}
			text := e.ExceptionDetails.Text
			if e.ExceptionDetails.Exception != nil {
				text += " " + e.ExceptionDetails.Exception.Description
			}
			b.note("exception: " + text)
		}
	}()
	go func() {
		for e, err := range dialogs {
			if err != nil {
				return
			}
			b.note("dialog: " + e.Message)
			_, _ = chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
		}
	}()
}

func (b *browser) note(report string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reports = append(b.reports, report)
}

func (b *browser) noticed() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reports
}

// evaluate returns what an expression comes to in the page; a promise is waited for.
func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.200s: %v", expression, err)
	}
	return value
}

// shows waits until an expression is true in the page.
func (b *browser) shows(what, expression string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !evaluate[bool](b, "!!("+expression+")") {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: the page does not show %s. It shows:\n%s", evaluate[string](b, "location.href"), what, b.text())
		}
		evaluate[bool](b, "new Promise((done) => setTimeout(() => done(true), 50))")
	}
}

// has waits for a text in the page.
func (b *browser) has(text string) {
	b.t.Helper()
	b.shows(fmt.Sprintf("%q", text), "document.body.innerText.includes("+quoted(text)+")")
}

// text is what a person can read in the page, the beginning of it.
func (b *browser) text() string {
	text := evaluate[string](b, "document.body.innerText")
	return text[:min(len(text), 2000)]
}

// open loads a page and waits until it has its data.
func (b *browser) open(path string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(b.base+path)); err != nil {
		b.t.Fatalf("open %s: %v", path, err)
	}
	b.loaded()
}

// loaded waits until nothing on the page waits for its first data.
func (b *browser) loaded() {
	b.t.Helper()
	b.shows("its data", "document.querySelector('h1') && !document.querySelector('.waiting, [aria-busy=true]')")
}

// drawn is a promise that the page keeps when it has drawn what it knows: Preact runs what listens to keys afterwards.
const drawn = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0, true))))"

// press presses keys one after the other, as a person who sees what each does: letters, or names such as Enter and
// Shift+Enter.
func (b *browser) press(keys ...string) {
	b.t.Helper()
	names := map[string]string{"Enter": "\r", "Escape": "\u001b", "Tab": "\t"}
	for _, key := range keys {
		evaluate[bool](b, drawn)
		var options []chromedp.KeyOption
		if rest, shifted := strings.CutPrefix(key, "Shift+"); shifted {
			key, options = rest, append(options, chromedp.KeyModifiers(chromedp.ModifierShift))
		}
		if name, ok := names[key]; ok {
			key = name
		}
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		if err := chromedp.Do(ctx, chromedp.KeyEvent(key, options...)); err != nil {
			b.t.Fatalf("press %q: %v", key, err)
		}
		cancel()
	}
}

// click presses what a person sees under this name: the first button or link with the text.
func (b *browser) click(name string) {
	b.t.Helper()
	find := `[...document.querySelectorAll((document.querySelector("dialog[open]") ? "dialog[open] " : "") + ":is(button, a, [role=menuitem])")]
		.find((one) => !one.disabled && one.checkVisibility() && (one.innerText.trim() === ` + quoted(name) + ` || one.getAttribute("aria-label") === ` + quoted(name) + `))`
	b.shows("a button "+name, find)
	evaluate[bool](b, drawn) // or a click may come before what the last one has changed is drawn, as no person's can
	b.shows("a button "+name, find)
	evaluate[bool](b, "("+find+").click() || true")
}

// fill writes into the field with a label.
func (b *browser) fill(label, value string) {
	b.t.Helper()
	find := `[...document.querySelectorAll("label")].find((one) => one.innerText.startsWith(` + quoted(label) + `))`
	b.shows("a field "+label, find)
	evaluate[bool](b, `(() => {
		const field = document.getElementById(`+find+`.htmlFor);
		Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value").set.call(field, `+quoted(value)+`);
		return field.dispatchEvent(new Event("input", { bubbles: true }));
	})()`)
}

// signIn signs in as the token says, without the form.
func (b *browser) signIn(token, name string) {
	b.t.Helper()
	b.open("/signin")
	body, err := json.Marshal(map[string]string{"token": token, "name": name})
	if err != nil {
		b.t.Fatal(err)
	}
	status := evaluate[int](b, `fetch("/api/v1/signin", { method: "POST", headers: { "Content-Type": "application/json" }, body: `+quoted(string(body))+` }).then((answer) => answer.status)`)
	if status != http.StatusOK {
		b.t.Fatalf("signing in answers %d", status)
	}
}

// quoted writes a text as JavaScript has it.
func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// inject makes axe, which judges what assistive technology meets, known to the page.
func (b *browser) inject() {
	b.t.Helper()
	if evaluate[bool](b, "typeof axe === 'object'") {
		return
	}
	source, err := os.ReadFile("../admin/console/web/node_modules/axe-core/axe.min.js")
	if err != nil {
		b.t.Fatalf("%v: scripts/install-test installs it", err)
	}
	evaluate[bool](b, string(source)+"; true")
}

// accessible fails the test for each serious finding of axe.
func (b *browser) accessible(where string) {
	b.t.Helper()
	b.inject()
	findings := evaluate[[]string](b, `axe.run(document, { preload: false, resultTypes: ["violations"] }).then((result) => result.violations
		.filter((one) => one.impact === "serious" || one.impact === "critical")
		.map((one) => one.id + ": " + one.help + " at " + one.nodes.slice(0, 3).map((node) => node.target.join(" ") + " " + (node.any[0]?.message ?? "")).join(" | ")))`)
	for _, finding := range findings {
		b.t.Errorf("%s: %s", where, finding)
	}
}

// resize gives the window another width; 640 is what 1280 become at a zoom of 200 %.
func (b *browser) resize(width int64) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(width, 900)); err != nil {
		b.t.Fatal(err)
	}
}
