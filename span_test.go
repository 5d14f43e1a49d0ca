package relay

import (
	"testing"
	"time"
)

func TestSpansAreReadAsPostgreSQLReadsThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "7d": 168 * time.Hour, "2 days": 48 * time.Hour,
		"1 day 02:00:00": 26 * time.Hour, "01:30": 90 * time.Minute, "01:30:00.5": 90*time.Minute + 500*time.Millisecond, "30": 30 * time.Second,
		"250ms": 250 * time.Millisecond, "1 week": 168 * time.Hour, " 5 Minutes ": 5 * time.Minute, "-2h": -2 * time.Hour, "0": 0, "1us": time.Microsecond,
	} {
		if got, err := ParseSpan(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "-", "h", "1x", "1 month", "1 year", "2026-01-31", "1h 5", "5 1h", "1:2:3:4", "yesterday", "1e9h", "99999999 weeks"} {
		if got, err := ParseSpan(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, got)
		}
	}
}
