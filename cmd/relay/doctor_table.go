package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"relay"
	"relay/sql"
)

// pendingWarn is the age from which a pending message is worth a word.
const pendingWarn = time.Minute

// checkTable looks for what makes the table unfit for an outbox, or slow.
func (d *doctor) checkTable(ctx context.Context, examiner *sql.Examiner) {
	f, err := examiner.Table(ctx)
	if err != nil {
		d.failed("table", err)
		return
	}
	before := len(d.findings)
	if f.Partitioned {
		d.fail("table", "alter schema relay rename to relay_before, then relay migrate, then copy what is pending by insert … select", "relay.outbox is partitioned, which the relay does not support")
	}
	if f.Unlogged {
		d.fail("table", "alter table relay.outbox set logged", "relay.outbox is unlogged: a crash empties it, and the stream does not carry it")
	}
	if f.NoAutovacuum {
		d.warn("table", "alter table relay.outbox reset (autovacuum_enabled), then alter system set autovacuum = on, then select pg_reload_conf()", "autovacuum is off for relay.outbox: sweeps get slower with every message")
	}
	if f.Dead > 100_000 && f.Dead > f.Live {
		d.warn("table", "vacuum relay.outbox", "relay.outbox has about %d dead rows beside %d live ones; an open transaction may keep them", f.Dead, f.Live)
	}
	if len(f.Triggers) > 0 {
		d.warn("table", dropTriggers(f.Triggers), "relay.outbox has triggers that are not the relay's: %s", strings.Join(f.Triggers, ", "))
	}
	if len(d.findings) == before {
		d.ok("table", "relay.outbox is plain and vacuumed")
	}
}

// dropTriggers is what removes triggers of relay.outbox.
func dropTriggers(names []string) string {
	steps := make([]string, len(names))
	for i, name := range names {
		steps[i] = "drop trigger " + identifier(name) + " on relay.outbox"
	}
	return strings.Join(steps, ", then ") + "; or leave what is wanted"
}

// checkRelays names the relays that work on the outbox, and returns their number.
func (d *doctor) checkRelays(ctx context.Context, examiner *sql.Examiner) int {
	f, err := examiner.Relays(ctx)
	switch {
	case err != nil:
		d.failed("relays", err)
	case len(f.Names) == 0 && f.Expired > 0:
		d.warn("relays", "relay run", "none runs; the last one gave its last sign of life %s ago and did not end in order", age(time.Since(f.Seen)))
	case len(f.Names) == 0:
		d.warn("relays", "relay run", "none runs")
	case f.Expired > 0:
		d.warn("relays", "wait for RELAY_LEASE_TTL: they are taken over", "%s; %d shards of a relay that died have no owner", strings.Join(f.Names, ", "), f.Expired)
	default:
		d.ok("relays", "%s; %d of %d shards have an owner", strings.Join(f.Names, ", "), f.Shards, relay.Shards)
	}
	return len(f.Names)
}

// checkMessages counts what has not ended well.
func (d *doctor) checkMessages(ctx context.Context, examiner *sql.Examiner) {
	f, err := examiner.Messages(ctx)
	if err != nil {
		d.failed("messages", err)
		return
	}
	if f.OldestPending > pendingWarn {
		d.warn("messages", mendPending(len(d.relays) > 0), "%s pending, the oldest for %s", many(f.Pending), age(f.OldestPending))
	} else {
		d.ok("messages", "%s pending, %s delayed, %s open", many(f.Pending), many(f.Delayed), many(f.Open))
	}
	if f.Dead > 0 {
		deaths, err := examiner.Deaths(ctx)
		d.checkFailures("dead", f.Dead, deaths, err, d.mendDead)
	}
	if f.Rejected > 0 {
		rejections, err := examiner.Rejections(ctx)
		d.checkFailures("rejected", f.Rejected, rejections, err, mendRejected)
	}
}

// mendPending says what helps messages that nothing takes up.
func mendPending(running bool) string {
	if running {
		return "mend what is said of the relay that runs"
	}
	return "relay run"
}

// checkFailures tells why messages did not end well: the most frequent reasons.
func (d *doctor) checkFailures(status string, all int, list []sql.Failure, err error, mend func(sql.Failure) string) {
	if err != nil {
		d.failed("messages", err)
		return
	}
	for _, f := range list {
		at, of := "", ""
		if f.Subscription != "" {
			at = " at " + f.Subscription
		}
		if len(list) > 1 {
			of = fmt.Sprintf(" of %s", many(all))
		}
		d.warn("messages", mend(f), "%d%s %s%s, the youngest %s: %s", f.Count, of, status, at, f.Youngest, f.Error)
	}
}

// checkDeliveries names the destinations that messages wait for.
func (d *doctor) checkDeliveries(ctx context.Context, examiner *sql.Examiner) {
	waiting, err := examiner.WaitingDeliveries(ctx)
	if err != nil {
		d.failed("deliveries", err)
		return
	}
	for _, w := range waiting {
		what := ""
		if w.Error != "" {
			what = "; last: " + w.Error
		}
		d.warn("deliveries", d.mendWaiting(w), "%s wait for %s (%s)%s", many(w.Count), w.Circuit, w.Why, what)
	}
	if len(waiting) == 0 {
		d.ok("deliveries", "none waits")
	}
}

// many prints a count that stops at doctor's limit.
func many(n int) string { return atLeast(n, sql.CountLimit) }

// atLeast prints a count that stops at a limit.
func atLeast(n, limit int) string {
	if n >= limit {
		return "at least " + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}
