package main

import (
	"context"
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
		d.fail("table", "move it aside (alter table relay.outbox rename to …) and run relay migrate on a fresh schema", "relay.outbox is partitioned, which the relay does not support")
	}
	if f.Unlogged {
		d.fail("table", "alter table relay.outbox set logged", "relay.outbox is unlogged: a crash empties it, and the stream does not carry it")
	}
	if f.NoAutovacuum {
		d.warn("table", "alter table relay.outbox reset (autovacuum_enabled); alter system set autovacuum = on", "autovacuum is off for relay.outbox: sweeps get slower with every message")
	}
	if f.Dead > 100_000 && f.Dead > f.Live {
		d.warn("table", "vacuum relay.outbox", "relay.outbox has about %d dead rows beside %d live ones; an open transaction may keep them", f.Dead, f.Live)
	}
	if len(f.Triggers) > 0 {
		d.warn("table", "drop trigger … on relay.outbox, unless it is wanted", "relay.outbox has triggers that are not the relay's: %s", strings.Join(f.Triggers, ", "))
	}
	if len(d.findings) == before {
		d.ok("table", "relay.outbox is plain and vacuumed")
	}
}

// checkRelays tells who works on the outbox, and returns how many.
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
		d.warn("messages", "relay run; if one runs, read its log", "%s pending, the oldest for %s", many(f.Pending), age(f.OldestPending))
	} else {
		d.ok("messages", "%s pending, %s delayed, %s open", many(f.Pending), many(f.Delayed), many(f.Open))
	}
	const again = "when it is mended: relay messages retry --status "
	if f.Dead > 0 {
		d.warn("messages", again+"dead", "%s dead; the youngest: %s", many(f.Dead), f.WhyDead)
	}
	if f.Rejected > 0 {
		d.warn("messages", again+"rejected", "%s rejected; the youngest: %s", many(f.Rejected), f.WhyRejected)
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
		mend := "see to " + w.Circuit
		if strings.Contains(w.Why, string(relay.ReasonNoResources)) {
			mend = "mend the machines on which the relays run"
		}
		d.warn("deliveries", mend+"; they go on by themselves", "%s wait for %s (%s)%s", many(w.Count), w.Circuit, w.Why, what)
	}
	if len(waiting) == 0 {
		d.ok("deliveries", "none waits")
	}
}

// many prints a count that stops at a limit.
func many(n int) string {
	if n >= sql.CountLimit {
		return "at least " + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}
