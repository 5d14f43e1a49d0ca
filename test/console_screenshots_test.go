package test

import (
	"bytes"
	"context"
	"flag"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"relay/test/harness"
)

// What make screenshots sets; a plain run throws the pictures away, and does not wait until the charts are long.
var (
	picturesFolder = flag.String("console.pictures", "", "the folder of the console's pictures; empty: one that is removed")
	picturesAfter  = flag.Duration("console.after", 0, "how long the demo runs before the pictures are taken")
)

// demoLink matches the address at which a demo signs one operator in.
var demoLink = regexp.MustCompile(`(http://[^/\s]+)(/signin#once=\S+)`)

// deadMessage asks the API for the id of a dead message.
const deadMessage = `fetch("/api/v1/messages?status=dead").then((answer) => answer.json()).then((list) => list.items[0]?.id ?? "")`

// troubles asks the API whether a key is blocked and a receiver fails.
const troubles = `Promise.all(["keys", "failures?state=failing"].map((path) => fetch("/api/v1/" + path).then((answer) => answer.json())
	.then((list) => list.items.length > 0))).then((all) => all.every(Boolean))`

// TestConsoleScreenshots takes pictures of five pages in both themes from what the demo does, for README and docs.
func TestConsoleScreenshots(t *testing.T) {
	t.Parallel()
	folder := *picturesFolder
	if folder == "" {
		folder = t.TempDir()
	}
	d := startDemo(t, "--rate", "10")
	d.shows(t, "/signin#once=")
	link := demoLink.FindStringSubmatch(d.out.String())
	b := openBrowser(t, link[1])
	b.open(link[2])
	b.shows("the overview", "location.pathname === '/'")
	var id string
	harness.Eventually(t, patience, "a message of the demo is dead", func() bool {
		id = evaluate[string](b, deadMessage)
		return id != ""
	})
	harness.Eventually(t, patience, "the demo has a blocked key and a receiver that fails", func() bool { return evaluate[bool](b, troubles) })
	<-time.After(*picturesAfter)
	for _, page := range []struct{ name, path string }{
		{"overview", "/"}, {"messages", "/messages"}, {"message", "/messages/" + id}, {"failures", "/failures"}, {"subscriptions", "/subscriptions"},
	} {
		for _, theme := range []string{"light", "dark"} {
			evaluate[bool](b, `localStorage.setItem("relay.theme", `+quoted(theme)+`) || true`)
			b.open(page.path)
			b.picture(filepath.Join(folder, page.name+"-"+theme+".png"))
		}
	}
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	d.exitCode(t, 90*time.Second)
}

// picture writes what the window shows into a file.
func (b *browser) picture(path string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	content, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatalf("take %s: %v", path, err)
	}
	if size, err := png.DecodeConfig(bytes.NewReader(content)); err != nil || size.Width != 1280 || size.Height != 900 {
		b.t.Fatalf("%s is no picture of the window: %+v, %v", path, size, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
