// Command bench measures the relay on this machine and compares it with what the machine
// allows. It starts a PostgreSQL server and a RabbitMQ node of its own, builds the relay and
// runs it as a process:
//
//	go run ./test/bench                       all sections with small numbers, about 12 minutes
//	go run ./test/bench -only rate,latency    some of them
//	go run ./test/bench -full -update         the numbers of the targets; rewrites docs/benchmarks.md
//	go run ./test/bench -only before -before v1.0.0   beside an earlier revision, which no call without it includes
//	go run ./test/bench -only soak -for 1h    the long run, which no other call includes
//
// Absolute rates depend on the machine and on what else runs there. Ratios are taken within
// rounds, in which what is compared runs in turns, and the median of the rounds counts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	only     []string
	full     bool
	before   string // an earlier revision; empty: none
	update   bool
	rounds   int
	soak     time.Duration
	postgres int
	page     string
	log      bool
	// post is the URL that a process of its own posts to, and posts how often; empty: this is no such process.
	post  string
	posts int
}

// section is one group of measurements, which have a lab of servers to themselves.
type section struct {
	name  string
	title string
	run   func(ctx context.Context, l *lab, o options) (*report, error)
}

// soakSection runs only when it is asked for.
const soakSection = "soak"

func sections() []section {
	return []section{
		{"rate", "Rate end to end, as a share of what the machine allows", runRate},
		{"consumed", "A quorum queue with a consumer", runConsumed},
		{"latency", "Latency at 1,000 rows/s, INSERT sent to received", runLatency},
		{"backlog", "A backlog and a large transaction", runBacklog},
		{"sweep", "Sweeping and idling beside done rows", runSweep},
		{"outage", "One of two destinations down", runOutage},
		{"share", "Two relays sharing", runShare},
		{"insert", "Cost of an INSERT", runInsert},
		{"key", "Order by key", runKey},
		{"delay", "Delayed messages", runDelay},
		{"centre", "What people ask, beside 5,000,000 messages", runCentre},
		{"many", "Many subscriptions, keys and pending rows", runMany},
		{beforeSection, "Beside an earlier revision", runBefore},
		{soakSection, "Soak", runSoak},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := realMain(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func realMain(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	if o.post != "" {
		return postOneByOne(ctx, o.post, o.posts)
	}
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(measure(ctx, l, o), l.remove())
}

func parseOptions(args []string) (options, error) {
	var o options
	var only string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&only, "only", "", "sections to run, separated by commas (default: all but soak)")
	f.BoolVar(&o.full, "full", false, "use the numbers of the targets: 1,000,000 rows of backlog, 10,000,000 done rows, 5 minutes of outage, 5,000,000 messages for people to ask about, 1,000,000 keys and delayed rows, 10,000,000 pending rows")
	f.BoolVar(&o.update, "update", false, "write the results of the sections that ran into the page")
	f.IntVar(&o.rounds, "rounds", 5, "number of rounds; the median of their results counts")
	f.DurationVar(&o.soak, "for", time.Hour, "how long the section soak runs")
	f.StringVar(&o.before, "before", "", "an earlier revision of this repository, with which the section before compares this one")
	f.IntVar(&o.postgres, "postgres", 15, "major version of PostgreSQL; 0: the newest installed")
	f.StringVar(&o.page, "page", "docs/benchmarks.md", "the page that -update rewrites")
	f.StringVar(&o.post, "post", "", "measure nothing, and make POSTs to this URL, one after another; a section starts such a process")
	f.IntVar(&o.posts, "posts", 1, "how many POSTs -post makes")
	f.BoolVar(&o.log, "log", false, "copy the relays' logs to standard error")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var known []string
	for _, s := range sections() {
		known = append(known, s.name)
		if only == "" && s.name != soakSection && (s.name != beforeSection || o.before != "") {
			o.only = append(o.only, s.name)
		}
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, name := range o.only {
		if !slices.Contains(known, name) {
			return o, fmt.Errorf("there is no section %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return o, nil
}

// measure runs the sections, prints each as it ends and, if asked to, writes the page.
func measure(ctx context.Context, l *lab, o options) error {
	machine, err := l.machine(ctx)
	if err != nil {
		return err
	}
	fmt.Println(machine)
	for _, s := range sections() {
		if !slices.Contains(o.only, s.name) {
			continue
		}
		began := time.Now()
		r, err := s.run(ctx, l, o)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		text := r.markdown(s.title, machine, began)
		fmt.Printf("\n%s(%s)\n", text, time.Since(began).Round(time.Second))
		if o.update {
			if err := updatePage(o.page, s.name, text); err != nil {
				return err
			}
		}
	}
	return nil
}
