package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"relay/admin"
	"relay/admin/access"
	"relay/admin/api"
	"relay/admin/console"
	"relay/operate"
)

// wantedContent is how soon a page of the console is to show something of the tables.
const wantedContent = 500 * time.Millisecond

// noteContent has a page note when it first shows a row, a tile, or that there is nothing.
const noteContent = `new MutationObserver((_, observer) => {
	if (!document.querySelector(".tile, tr[data-key], .groups > li, .empty")) return;
	window.firstContent = performance.now();
	observer.disconnect();
}).observe(document, { childList: true, subtree: true })`

// console opens pages of the console in Chromium.
func (c centre) console() error {
	url, stop, err := c.serveConsole()
	if err != nil {
		return err
	}
	defer stop()
	allocator, stopAllocator := chromedp.NewExecAllocator(context.WithoutCancel(c.ctx), chromedp.DefaultExecAllocatorOptions[:]...)
	defer stopAllocator()
	browser, stopBrowser := chromedp.NewContext(allocator)
	defer stopBrowser()
	if _, err := chromedp.Call(browser, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: noteContent}); err != nil {
		return fmt.Errorf("start Chromium: %w", err)
	}
	// Chromium starts a process for the address, which is no part of what is measured.
	if err := chromedp.Do(browser, chromedp.Navigate(url+"/assets/icons.svg")); err != nil {
		return fmt.Errorf("start Chromium: %w", err)
	}
	for _, path := range []string{"/", "/messages?since=all", "/messages?since=all&status=dead", "/failures", "/subscriptions", "/subscriptions/sub-3"} {
		if err := c.firstContent(browser, url, path); err != nil {
			return err
		}
	}
	return nil
}

// serveConsole serves the message centre without a relay.
func (c centre) serveConsole() (url string, stop func(), err error) {
	service := operate.New(c.store)
	a, err := api.New(api.Config{
		Service: func() *operate.Service { return service }, Guard: access.New("", ""), Settings: api.Settings{BackoffMS: []int64{}}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return "", nil, err
	}
	pages, err := console.NewHandler()
	if err != nil {
		return "", nil, err
	}
	server := httptest.NewServer(admin.NewCentre(api.Prefix, a, http.NotFoundHandler(), pages))
	return server.URL, server.Close, nil
}

// firstContent judges the fastest of some loads of a page, from the request to the first content.
func (c centre) firstContent(browser context.Context, url, path string) error {
	var first, best time.Duration
	for n := range asks {
		ctx, cancel := context.WithTimeout(browser, time.Minute)
		if err := chromedp.Do(ctx, chromedp.Navigate(url+path)); err != nil {
			cancel()
			return fmt.Errorf("open %s: %w", path, err)
		}
		const noted = `new Promise((done) => { const look = () => window.firstContent ? done(window.firstContent) : setTimeout(look, 5); look(); })`
		ms, err := chromedp.Run(ctx, chromedp.Evaluate[float64](noted, chromedp.EvalAwaitPromise))
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		took := time.Duration(ms * float64(time.Millisecond))
		if n == 0 {
			first, best = took, took
		}
		best = min(best, took)
	}
	c.report.judge("first content of the console's page "+path, "≤ "+wantedContent.String(), best <= wantedContent, "%s, %s", first.Round(time.Millisecond), best.Round(time.Millisecond))
	return nil
}
