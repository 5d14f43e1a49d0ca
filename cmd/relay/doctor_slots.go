package main

import (
	"context"

	"relay/cdc"
	"relay/sql"
)

// checkOtherSlots names the slots other than the given one that no session reads although a relay
// may have made them, and every slot that keeps much WAL.
func (d *doctor) checkOtherSlots(ctx context.Context, examiner *sql.Examiner, own string) {
	others, err := cdc.OtherSlots(ctx, examiner.Conn, own)
	if err != nil {
		d.failed("slot", err)
		return
	}
	left := false
	for _, o := range others {
		switch {
		case o.Here && o.Reader == "":
			left = true
			d.warn("slot", o.Drop()+"; or start what reads it", "no session reads %q of this database; it keeps %s of WAL, and more as it is written", o.Name, bytesText(o.Bytes))
		case o.Bytes > restartWarn:
			d.warn("WAL", o.Drop()+"; or let its consumer go on", "it is held by slot %q, %s", o.Name, bytesText(o.Bytes))
		}
	}
	if own == "" && !left {
		d.ok("slot", "none is needed, and none is left over")
	}
}

// checkTrigger looks at the trigger of RELAY_CAPTURE=notify, which must be there in that mode
// alone.
func (d *doctor) checkTrigger(ctx context.Context, examiner *sql.Examiner, server sql.ServerFacts, running bool) {
	exists, flaw, err := cdc.ExamineTrigger(ctx, examiner.Conn)
	wanted := d.config.Capture == CaptureNotify
	switch {
	case err != nil:
		d.failed("trigger", err)
	case !wanted && exists:
		d.warn("trigger", "relay run (it removes the trigger when it starts)",
			"relay.outbox still has the trigger of RELAY_CAPTURE=notify, with which PREPARE TRANSACTION fails")
	case !wanted:
	case !exists && running:
		d.fail("trigger", "start the relay again: it makes the trigger when it starts", "relay.outbox has no trigger although a relay runs: it works by sweeps")
	case !exists:
		d.warn("trigger", "relay run (it makes the trigger when it starts)", "relay.outbox has no trigger yet")
	case flaw.Why != "":
		d.fail("trigger", flaw.Mend, "%s: the relay works by sweeps", flaw.Why)
	default:
		d.ok("trigger", "relay.outbox has the trigger that rings")
	}
	if wanted {
		d.warn("prepared", "set RELAY_CAPTURE=stream"+startAgain+"; or leave it, if no application uses two-phase commit",
			"with RELAY_CAPTURE=notify PREPARE TRANSACTION fails in every transaction that has inserted a message (max_prepared_transactions is %d)", server.MaxPrepared)
	}
}
