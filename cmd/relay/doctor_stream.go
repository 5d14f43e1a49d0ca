package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"relay/cdc"
	"relay/sql"
)

// What a slot may hold back before it is worth a word, in bytes.
const (
	confirmedWarn = 64 << 20
	restartWarn   = 64 << 20 // less is usual on a busy server
)

// oldTransaction is the age from which an open transaction is worth a word.
const oldTransaction = 5 * time.Minute

// checkCapacity looks whether the server can give a stream at all.
func (d *doctor) checkCapacity(f sql.ServerFacts) {
	if f.WALLevel != "logical" {
		d.fail("wal_level", f.Provider.MendSetting("wal_level", "logical", true)+"; or set RELAY_CAPTURE=notify"+startAgain,
			"it is %s, and a stream needs logical", f.WALLevel)
	} else {
		d.ok("wal_level", "logical")
	}
	d.checkHeadroom(f.Provider, "slots", "max_replication_slots", f.Slots, f.MaxSlots)
	d.checkHeadroom(f.Provider, "senders", "max_wal_senders", f.Senders, f.MaxSenders)
	if f.KeepBytes < 0 {
		d.warn("keep", f.Provider.MendSetting("max_slot_wal_keep_size", "10GB", false),
			"max_slot_wal_keep_size is not set: while no relay runs, its slot can fill the disk; the relay survives the loss of a slot, a database does not survive a full disk")
	} else {
		d.ok("keep", "max_slot_wal_keep_size is %s", bytesText(f.KeepBytes))
	}
}

// checkReplication tries whether the address carries replication, unless it is known already
// that the server gives none: a pooler carries everything else.
func (d *doctor) checkReplication(ctx context.Context, examiner *sql.Examiner, f sql.ServerFacts) {
	if !f.Replication && !f.Superuser && f.ReplicationBy == "" || f.Senders >= f.MaxSenders {
		return
	}
	flaw, err := cdc.ExamineReplication(ctx, examiner.Own, f.Provider, f.ReplicationBy)
	switch {
	case err != nil:
		d.failed("replication", err)
	case flaw.Why != "":
		d.fail("replication", flaw.Mend, "%s", flaw.Why)
	default:
		d.ok("replication", "the address carries it")
	}
}

// checkHeadroom looks whether there is room for one more. A relay that streams already has its
// place, but it has none after a restart if another program takes it.
func (d *doctor) checkHeadroom(provider sql.Provider, check, setting string, used, limit int) {
	if used < limit {
		d.ok(check, "%d of %d in use", used, limit)
		return
	}
	d.warn(check, provider.MendSetting(setting, strconv.Itoa(max(2*limit, 10)), true),
		"all %d are in use (%s)", limit, setting)
}

// checkSlot looks at the slot, and at the transactions and slots that hold WAL beside it.
func (d *doctor) checkSlot(ctx context.Context, examiner *sql.Examiner, server sql.ServerFacts, running bool) {
	name := d.config.Slot
	slot, err := cdc.ExamineSlot(ctx, examiner.Conn, name)
	switch {
	case err != nil:
		d.failed("slot", err)
	case !slot.Exists && server.Slots >= server.MaxSlots:
		d.fail("slot", fmt.Sprintf("alter system set max_replication_slots = %d, then restart the server, then relay run; or drop one that is no longer needed (select slot_name, active from pg_replication_slots)", max(2*server.MaxSlots, 10)),
			"there is no slot %q, and no room for it", name)
	case !slot.Exists && running:
		d.fail("slot", d.mendStream("relay run makes it: start the relay again"), "there is no slot %q although a relay runs: it works by sweeps", name)
	case !slot.Exists:
		d.warn("slot", "relay run (it makes the slot when it starts)", "there is no slot %q yet", name)
	case slot.Flaw.Why != "":
		d.fail("slot", thenStart(slot.Flaw.Mend), "slot %q: %s", name, slot.Flaw.Why)
	default:
		d.judgeSlot(ctx, examiner, slot, running)
	}
}

func (d *doctor) judgeSlot(ctx context.Context, examiner *sql.Examiner, slot cdc.Examined, running bool) {
	reader := fmt.Sprintf("%q is read by %s", d.config.Slot, slot.Reader)
	if slot.Reader == "" {
		reader = fmt.Sprintf("no session reads %q", d.config.Slot)
	}
	heard, known := d.hears()
	what := fmt.Sprintf("%s; WAL %s, confirmed lag %s, restart lag %s", reader, slot.Status,
		bytesText(slot.Lag.Confirmed), bytesText(slot.Lag.Restart))
	switch {
	case slot.Status == "unreserved":
		d.warn("slot", "relay run; or let it be lost: that costs latency and no message", "%s: it will be lost at the next checkpoint", what)
	case slot.Reader != "" && (known && !heard || !running):
		d.fail("slot", fmt.Sprintf("select pg_terminate_backend(%d); or set RELAY_SLOT to another name", slot.PID)+startAgain,
			"%s, which is no relay: the relay does not get it", what)
	case slot.Reader == "" && running:
		d.warn("slot", d.mendStream("wait: the relay tries again by itself"), "%s, although a relay runs", what)
	case slot.Reader == "":
		d.warn("slot", "relay run", "%s", what)
	case slot.Lag.Confirmed > confirmedWarn:
		d.warn("slot", "wait: it shrinks while the relay reads; if it grows, give the relay more CPU", "%s", what)
	case slot.Lag.Restart > restartWarn:
		d.warn("slot", "end what holds it, which the lines WAL and transactions name", "%s", what)
	default:
		d.ok("slot", "%s", what)
	}
	if slot.Lag.Restart > cdc.HoldersFrom { // as /readyz does
		d.checkHolders(ctx, examiner)
	}
}

// mendStream is what the relay that holds the slot says helps against having no stream.
func (d *doctor) mendStream(otherwise string) string {
	for _, r := range d.relays {
		if bell := r.Report.Doorbell; bell != nil && bell.Stream && bell.Mend != "" {
			return thenStart(bell.Mend)
		}
	}
	return otherwise
}

// checkHolders names the transactions that keep the server from removing WAL; checkOtherSlots
// names the slots.
func (d *doctor) checkHolders(ctx context.Context, examiner *sql.Examiner) {
	holders, err := cdc.Holders(ctx, examiner.Conn, d.config.Slot)
	if err != nil {
		d.failed("WAL", err)
		return
	}
	for _, h := range holders {
		if h.Bytes > 0 {
			continue
		}
		what := h.Name
		if !h.Since.IsZero() {
			what += ", for " + age(time.Since(h.Since))
		}
		d.warn("WAL", h.Mend, "it is held by %s", what)
	}
}

// checkPublication looks at the publication.
func (d *doctor) checkPublication(ctx context.Context, examiner *sql.Examiner, server sql.ServerFacts) {
	name := d.config.Publication
	exists, flaw, err := cdc.ExaminePublication(ctx, examiner.Conn, name)
	switch {
	case err != nil:
		d.failed("publication", err)
	case !exists && !server.MayCreate:
		d.fail("publication", fmt.Sprintf("grant create on database %s to %s", identifier(server.Database), identifier(server.Role)),
			"there is no publication %q, and %s may not make it", name, identifier(server.Role))
	case !exists && len(d.relays) > 0:
		d.fail("publication", d.mendStream("start the relay again: it makes the publication when it starts"), "there is no publication %q although a relay runs", name)
	case !exists:
		d.warn("publication", "relay run (it makes the publication when it starts)", "there is no publication %q yet", name)
	case flaw.Why != "":
		d.fail("publication", flaw.Mend, "publication %q: %s", name, flaw.Why)
	default:
		d.ok("publication", "%q publishes inserts into relay.outbox, columns id, key, deliver_at, seq", name)
	}
}

// checkTransactions names those that have been open for long. While one is, a new slot
// cannot be made, WAL is held, and dead rows of the outbox pile up.
func (d *doctor) checkTransactions(ctx context.Context, examiner *sql.Examiner, server sql.ServerFacts) {
	old, err := examiner.OldTransactions(ctx, oldTransaction)
	if err != nil {
		d.failed("transactions", err)
		return
	}
	for _, t := range old {
		d.warn("transactions", fmt.Sprintf("select pg_terminate_backend(%d); or have its client end it", t.PID),
			"the one of pid %d (%s, %s) has been open for %s", t.PID, t.Who, t.State, age(time.Since(t.Since)))
	}
	prepared := d.checkPrepared(ctx, examiner)
	switch {
	case len(old) > 0 || prepared > 0:
	case !server.SeesOthers:
		d.ok("transactions", "none that the role may see is old (grant pg_read_all_stats to %s shows it the others)", identifier(server.Role))
	default:
		d.ok("transactions", "none is older than %s", age(oldTransaction))
	}
}

// checkPrepared names prepared transactions, which hold WAL until a person or their coordinator ends them.
func (d *doctor) checkPrepared(ctx context.Context, examiner *sql.Examiner) int {
	prepared, err := examiner.OldPrepared(ctx, oldTransaction)
	if err != nil {
		d.failed("transactions", err)
		return 0
	}
	for _, p := range prepared {
		d.warn("transactions", "commit prepared "+p.Literal+"; or rollback prepared "+p.Literal,
			"the prepared one %s of %s waits since %s for its end", p.Literal, p.Owner, age(time.Since(p.Since)))
	}
	return len(prepared)
}

// bytesText prints a size for people.
func bytesText(n int64) string {
	units := []string{"B", "kB", "MB", "GB"}
	f, unit := float64(n), 0
	for f >= 1024 && unit < len(units)-1 {
		f, unit = f/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[unit])
}

// age prints a time for people.
func age(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
