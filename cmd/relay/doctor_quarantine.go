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
	for _, q := range list {
		row := q.Subject
		mend := "end the session, or mend the trigger or constraint, that it names; the relay tries again by itself"
		if q.Message != (relay.ID{}) {
			mend += ": relay messages show " + q.Message.String()
		}
		d.warn("quarantine", mend, "%s in quarantine (%s), the oldest for %s: %s: %s", many(q.Count), q.Operation, age(q.Oldest), row, q.Error)
	}
	if len(list) == 0 {
		d.ok("quarantine", "no row keeps a relay from reading, changing or removing it")
	}
}
