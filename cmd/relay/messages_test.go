package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"relay"
	"relay/sql"
)

func TestContentIsShownAsTextOrInHexadecimal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		bytes  string
		size   int64
		binary bool
		want   string
	}{
		{"", 0, false, ""},
		{"äö", 4, false, "äö"},
		{"ä\xc3", 6, false, "ä… and 4 more bytes"},
		{"a\xc3", 2, false, "61c3"},
		{"ab", 2, true, "6162"},
		{"\x00\xff", 9, true, "00ff… and 7 more bytes"},
		{"a\x1b[31m\n\tb", 9, false, "a·[31m\n\tb"},
	} {
		if got := newContent([]byte(tt.bytes), tt.size, tt.binary).text(); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.bytes, got, tt.want)
		}
	}
}

func TestMomentIsATimeOrATimeSpan(t *testing.T) {
	t.Parallel()
	var m moment
	if err := m.UnmarshalText([]byte("2026-01-31T12:00:00+01:00")); err != nil || !m.Equal(time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("%s: %v", m, err)
	}
	if err := m.UnmarshalText([]byte("2h")); err != nil || time.Since(m.Time).Round(time.Minute) != 2*time.Hour {
		t.Errorf("%s: %v", m, err)
	}
	for _, bad := range []string{"", "yesterday", "-2h", "2026-01-31"} {
		if err := m.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken for %s", bad, m)
		}
	}
}

func TestAMessageTableFitsItsWidth(t *testing.T) {
	t.Parallel()
	now := time.Now()
	m := sql.MessageSummary{ID: relay.NewID(), CreatedAt: now.Add(-50 * time.Hour), Status: "cancelled", Topic: strings.Repeat("ü", 60), Error: strings.Repeat("e", 200)}
	keyed := m
	keyed.Key = strings.Repeat("k", 60)
	for _, messages := range [][]sql.MessageSummary{{m}, {m, keyed}} {
		table := messageTable(messages, now)
		if withKeys := strings.Contains(table, "KEY"); withKeys != (len(messages) == 2) {
			t.Errorf("keys %v in\n%s", withKeys, table)
		}
		for line := range strings.Lines(table) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > tableWidth {
				t.Errorf("%d columns: %s", n, line)
			}
		}
		if !strings.Contains(table, m.ID.String()+"  2d") || !strings.Contains(table, "e…") {
			t.Errorf("\n%s", table)
		}
	}
}
