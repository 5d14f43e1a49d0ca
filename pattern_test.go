package relay

import (
	"strings"
	"testing"
)

// goodPatterns and badPatterns are those of sql/subscription_pattern_test.go too.
func TestCheckPattern(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"order", "order.created", "*", "#", "order.*", "*.created", "order.#", "#.a.*.b.#", "a..b", "ümlaut.*"} {
		if err := CheckPattern(good); err != nil {
			t.Error(err)
		}
	}
	for bad, form := range map[string]string{
		"order*":        "write order.* (one word) or order.# (any number of words)",
		"order#":        "write order.* (one word) or order.#",
		"order.>":       "write order.#",
		">":             "write #",
		"*created":      "write *.created (one word) or #.created",
		"a.b*c.d":       "write a.b.*.c.d (one word) or a.b.#.c.d",
		"order**":       "write order.*",
		"a.##":          "write a.#",
		"a.#.b*":        "write a.#.b.* (one word) or a.#.b.#",
		" order.*":      "write order.*",
		"order.*, a.b":  "write order.* and a.b",
		"order\tsecond": "write order and second",
		"":              "empty",
	} {
		if err := CheckPattern(bad); err == nil || !strings.Contains(err.Error(), form) {
			t.Errorf("%q: %v, want %q", bad, err, form)
		}
	}
	for _, filter := range []string{"", "a topic", "order.#"} {
		if err := CheckTopicFilter(filter); err != nil {
			t.Error(err)
		}
	}
	if CheckTopicFilter("order*") == nil || CheckTopicFilter("order.>") == nil {
		t.Error("a filter that matches nothing is accepted")
	}
}
