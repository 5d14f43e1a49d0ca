package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
	var holders []sql.RowHolder
	if slices.ContainsFunc(list, func(q sql.InQuarantine) bool { return locked(q.Error) }) {
		if holders, err = examiner.RowHolders(ctx); err != nil {
			d.failed("quarantine", err)
		}
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
		mend := "mend the trigger or constraint that it names: the relay tries again by itself"
		if locked(q.Error) && len(holders) > 0 {
			mend = endSessions(holders)
		}
		if q.Message != (relay.ID{}) {
			row += ", message " + q.Message.String()
		}
		d.warn("quarantine", mend, "%s in quarantine (%s), the oldest for %s: %s: %s", many(q.Count), q.Operation, age(q.Oldest), row, q.Error)
	}
	if held == 0 {
		d.ok("quarantine", "no row keeps a relay from reading, changing or removing it")
	}
}

// locked reports whether an error says that another session holds the row.
func locked(err string) bool {
	return strings.Contains(err, "lock")
}

// endSessions is what ends sessions that hold rows.
func endSessions(holders []sql.RowHolder) string {
	steps := make([]string, len(holders))
	for i, h := range holders {
		steps[i] = fmt.Sprintf("select pg_terminate_backend(%d)", h.PID)
	}
	return strings.Join(steps, ", then ") + "; or have its client end the transaction: the relay tries again by itself"
}
