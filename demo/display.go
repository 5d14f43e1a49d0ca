package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// How often the table is redrawn on a terminal, and a line printed elsewhere.
const (
	redrawEvery = 200 * time.Millisecond
	lineEvery   = time.Second
)

// welcome says what is to be seen, and how to take part. It is printed once, so that the
// command can be copied while the numbers below it move.
func (d *demo) welcome(link string) string {
	with := ""
	if d.consumer != nil {
		with = " and RabbitMQ " + d.consumer.version
	}
	return fmt.Sprintf(`Console  %[10]s
(The link signs in once. It shows a receiver that fails, a dead message and a key that it blocks: see and mend them.)

A shop places %[1]d orders a second on PostgreSQL %s%s.
Each order and its message are one transaction; some are rolled back.
The receiver checks signatures, and sometimes it fails on purpose.

Send a message of your own, from another terminal:

  %s 'postgres://%s:%s@127.0.0.1:%d/%s' -c \
    "insert into relay.outbox (topic, payload)
     values ('hello', '{\"from\": \"me\"}')"

Metrics http://%[9]s/metrics, health http://%[9]s/readyz
`, d.cfg.Rate, d.servers.version, with, psql(d.servers.postgres.BinDir()), appRole, appRole,
		d.servers.postgres.Port(), database, d.metrics, link)
}

// psql returns how to call psql: by name, or by its path where PATH lacks it.
func psql(binDir string) string {
	if _, err := exec.LookPath("psql"); err != nil {
		path := filepath.Join(binDir, "psql")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return "psql"
}

// greeting shows a person's own message.
func greeting(by route, topic string, body []byte, after time.Duration) string {
	return fmt.Sprintf("→ your message %s arrived over %s after %s: %s", visible(topic), by, milliseconds(after), visible(string(body)))
}

// visible makes a text of any origin fit for a terminal: one line within reason, without
// control characters.
func visible(text string) string {
	const most = 100
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, text)
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return text
}

// show redraws the table, or prints a line each second, until ctx ends.
func (d *demo) show(ctx context.Context) {
	every := lineEvery
	if d.screen.terminal() {
		every = redrawEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		d.countDead(ctx)
		if d.screen.terminal() {
			d.screen.draw(append(d.table(), "", "  Ctrl-C ends the demo."))
		} else {
			d.screen.print(d.line())
		}
	}
}

// milliseconds prints a time with two to three digits.
func milliseconds(t time.Duration) string {
	ms := float64(t) / float64(time.Millisecond)
	switch {
	case t == 0:
		return "-"
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}

// grouped prints a number with a comma at each thousand.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
