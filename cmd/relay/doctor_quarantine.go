package main

import (
	"context"

	"relay"
	"relay/sql"
)

// checkQuarantine names the rows that a relay cannot read, change or remove, and what keeps it from that.
func (d *doctor) checkQuarantine(ctx context.Context, examiner *sql.Examiner) {
	list, err := examiner.Quarantine(ctx)
	if err != nil {
		d.failed("quarantine", err)
		return
	}
	held := 0
	for _, q := range list {
		if q.Operation == "deleted" {
			d.warn("outbox", "let no transaction delete from relay.outbox: the relay removes messages after RELAY_RETENTION; see docs/coming-from.md",
				"%d messages were deleted before they could be delivered, the first %s ago; the last: %s", q.Tries, age(q.Oldest), q.Error)
			continue
		}
		held++
		row := q.Subject
		mend := "end the session, or mend the trigger or constraint, that it names; the relay tries again by itself"
		if q.Message != (relay.ID{}) {
			mend += ": relay messages show " + q.Message.String()
		}
		d.warn("quarantine", mend, "%s in quarantine (%s), the oldest for %s: %s: %s", many(q.Count), q.Operation, age(q.Oldest), row, q.Error)
	}
	if held == 0 {
		d.ok("quarantine", "no row keeps a relay from reading, changing or removing it")
	}
}
