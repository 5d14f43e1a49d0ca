package demo

import (
	"fmt"
	"strings"
	"time"
)

// column is the numbers of one route, or of all.
type column struct {
	title string
	counts
	dead int
}

// waiting is how many committed messages have neither arrived nor died.
func (c column) waiting() int { return max(c.committed-c.delivered-c.dead, 0) }

// columns returns one column for each route that is in use, and their sum if there is more
// than one.
func (d *demo) columns() []column {
	dead := d.dead()
	d.tally.mu.Lock()
	defer d.tally.mu.Unlock()
	all := []column{{title: viaHTTP.String(), counts: d.tally.counts[viaHTTP], dead: dead[viaHTTP]}}
	if d.consumer == nil {
		return all
	}
	rabbit := column{title: viaRabbit.String(), counts: d.tally.counts[viaRabbit], dead: dead[viaRabbit]}
	return append(all, rabbit, all[0].plus(rabbit))
}

func (c column) plus(o column) column {
	return column{title: "total", dead: c.dead + o.dead, counts: counts{
		committed: c.committed + o.committed, rolledBack: c.rolledBack + o.rolledBack,
		delivered: c.delivered + o.delivered, retried: c.retried + o.retried,
		duplicates: c.duplicates + o.duplicates, latency: c.latency.plus(o.latency),
	}}
}

// table is the whole display, for a terminal of 80 columns.
func (d *demo) table() []string {
	columns := d.columns()
	row := func(name, note string, value func(column) string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "  %-14s", name)
		for _, c := range columns {
			fmt.Fprintf(&b, "%12s", value(c))
		}
		if note != "" {
			b.WriteString("   " + note)
		}
		return b.String()
	}
	number := func(name, note string, n func(column) int) string {
		return row(name, note, func(c column) string { return grouped(n(c)) })
	}
	quantile := func(name, note string, q float64) string {
		return row(name, note, func(c column) string { return milliseconds(c.latency.quantile(q)) })
	}
	return append([]string{
		"",
		row(d.elapsed().String(), "", func(c column) string { return c.title }),
		number("committed", "", func(c column) int { return c.committed }),
		number("rolled back", "never delivered", func(c column) int { return c.rolledBack }),
		number("delivered", "", func(c column) int { return c.delivered }),
		number("retried", "attempts", func(c column) int { return c.retried }),
		number("waiting", "", column.waiting),
		number("dead", "or rejected", func(c column) int { return c.dead }),
		quantile("latency p50", "commit to arrival", 0.50),
		quantile("latency p99", "", 0.99),
	}, d.remarks(columns[len(columns)-1])...)
}

// remarks says what went wrong, on purpose and otherwise.
func (d *demo) remarks(all column) []string {
	d.tally.mu.Lock()
	f, forged := d.tally.faults, d.tally.forged
	d.tally.mu.Unlock()
	lines := []string{"", fmt.Sprintf("  The receiver failed on purpose: 500 × %d, 503 × %d, too late × %d.",
		f[faultError], f[faultBusy], f[faultSlow])}
	if all.duplicates > 0 {
		lines = append(lines, fmt.Sprintf("  What it answered too late came again: duplicates × %d, known by their id.", all.duplicates))
	}
	if forged > 0 {
		lines = append(lines, fmt.Sprintf("  REFUSED: %d requests without a valid signature.", forged))
	}
	return lines
}

// line is the display where there is no terminal.
func (d *demo) line() string {
	columns := d.columns()
	all := columns[len(columns)-1]
	var b strings.Builder
	fmt.Fprintf(&b, "%4s  committed %d  rolled back %d  delivered %d  retried %d  waiting %d  dead %d",
		d.elapsed(), all.committed, all.rolledBack, all.delivered, all.retried, all.waiting(), all.dead)
	for _, c := range columns[:min(len(columns), int(routes))] {
		fmt.Fprintf(&b, "  %s %d p50 %s p99 %s", c.title, c.delivered,
			milliseconds(c.latency.quantile(0.50)), milliseconds(c.latency.quantile(0.99)))
	}
	return b.String()
}

// elapsed is how long the shop has been open.
func (d *demo) elapsed() time.Duration {
	if d.opened.IsZero() {
		return 0
	}
	return time.Since(d.opened).Truncate(time.Second)
}
