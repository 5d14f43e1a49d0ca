package test

import (
	"testing"
	"time"

	"relay"
	"relay/test/harness"
)

// TestSQLAndTheCommandLineReadTheSameTimeSpans compares relay.ParseSpan with PostgreSQL's intervals.
func TestSQLAndTheCommandLineReadTheSameTimeSpans(t *testing.T) {
	t.Parallel()
	db := harness.Database(t).Admin(t)
	for _, text := range []string{
		"90s", "1h30m", "1.5h", "7d", "2 days", "1 day 02:00:00", "01:30", "01:30:00.5", "30", "250ms", "1 week", "5 minutes", "1m30s", "3 hrs 20 secs", "0", "1us", "2w",
	} {
		var us int64
		if err := db.QueryRow(t.Context(), "select (extract(epoch from $1::text::interval) * 1000000)::bigint", text).Scan(&us); err != nil {
			t.Errorf("SQL refuses %q: %v", text, err)
			continue
		}
		if got, err := relay.ParseSpan(text); err != nil || got != time.Duration(us)*time.Microsecond {
			t.Errorf("%q: %v, %v; SQL says %v", text, got, err, time.Duration(us)*time.Microsecond)
		}
	}
}
