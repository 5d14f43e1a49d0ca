package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"relay"
	"relay/operate"
)

func TestContentIsFitForATerminal(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]operate.Content{
		"":                      {},
		"ä… and 4 more bytes":   {Text: "ä", More: 4},
		"00ff… and 1 more byte": {Hex: "00ff", More: 1},
		"a·[31m\n\tb":           {Text: "a\x1b[31m\n\tb"},
	} {
		if got := contentText(c); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
}

func TestAMessageTableFitsItsWidth(t *testing.T) {
	t.Parallel()
	now := time.Now()
	m := operate.Message{ID: relay.NewID().String(), CreatedAt: now.Add(-50 * time.Hour), Status: "cancelled", Topic: strings.Repeat("ü", 60), LastError: strings.Repeat("e", 200)}
	keyed := m
	keyed.Key = strings.Repeat("k", 60)
	for _, messages := range [][]operate.Message{{m}, {m, keyed}} {
		for _, width := range []int{leastWidth, 80, tableWidth, 220} {
			table := messageTable(messages, now, width)
			if withKeys := strings.Contains(table, "  KEY"); withKeys != (len(messages) == 2) && width > leastWidth {
				t.Errorf("keys %v in\n%s", withKeys, table)
			}
			for line := range strings.Lines(table) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("%d columns instead of %d: %s", n, width, line)
				}
			}
			if !strings.Contains(table, m.ID+"  2d") || width >= tableWidth && !strings.Contains(table, "e…") {
				t.Errorf("\n%s", table)
			}
		}
	}
}

func TestATableShowsTheCauseBeforeTheURLAndWhenAMessageIsDue(t *testing.T) {
	t.Parallel()
	now := time.Now()
	due := now.Add(3*time.Hour + time.Minute)
	table := messageTable([]operate.Message{
		{ID: "1", CreatedAt: now, Status: relay.MessageDead, Topic: "t", LastError: "POST https://shop.example/a/long/path: connection refused"},
		{ID: "2", CreatedAt: now, Status: relay.MessagePending, Topic: "t", DeliverAt: &due},
	}, now, 80)
	for _, want := range []string{"connection refused (POST https://shop", "pending  t      due in 3h"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
}

func TestNumbersAndThingsAgree(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"1 message": plural(1, "message"), "0 messages": plural(0, "message"), "2 deliveries": plural(2, "delivery"), "1 delivery": plural(1, "delivery"),
		"at least 5 messages": counted(operate.Count{N: 5, Precision: operate.AtLeast}, "message"), "5+": upTo(operate.Count{N: 5, Precision: operate.AtLeast}),
		"1 dead message matches":            matching(operate.Plan{Messages: operate.Count{N: 1}}, operate.Filter{Status: []relay.MessageStatus{"dead"}}),
		"2 dead or rejected messages match": matching(operate.Plan{Messages: operate.Count{N: 2}}, operate.Filter{Status: []relay.MessageStatus{"dead", "rejected"}}),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAShellTakesAWordForOne(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"billing": "billing", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$x": "'$x'"} {
		if got := shellWord(value); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}
