package simulate

import (
	"fmt"
	"strings"
)

// tell runs a history and returns what happens in it as a numbered list of sentences, and at its
// end what was broken.
func tell(h *history) string {
	var lines []string
	err := run(h, &lines)
	var b strings.Builder
	fmt.Fprintf(&b, "Seed %d. %s\n", h.seed, h.settings())
	for i, line := range lines {
		fmt.Fprintf(&b, "%4d. %s\n", i+1, line)
	}
	if err == nil {
		b.WriteString("Nothing was broken.\n")
	} else {
		fmt.Fprintf(&b, "BROKEN %v.\n", err)
	}
	return b.String()
}

// settings says in words what a history begins with.
func (h *history) settings() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d relays hold at most %d entries and %d bytes each, and read %d messages of a key at once; a delivery has %d attempts",
		h.relays, h.entries, h.bytes, h.readAhead, h.attempts)
	if h.giveUp > 0 {
		fmt.Fprintf(&b, " and %s", h.giveUp)
	}
	b.WriteString(".")
	for _, peculiar := range []struct {
		is   bool
		what string
	}{
		{h.groups > 1, "Each relay sweeps two groups of shards."},
		{h.unnumbered, "The stream does not know the sequences of some rows."},
		{h.noRoom, "Destinations have no room now and then."},
		{h.named, "Rows themselves name destination s1."},
	} {
		if peculiar.is {
			b.WriteString(" " + peculiar.what)
		}
	}
	for i, s := range h.subs {
		fmt.Fprintf(&b, " Subscription %s is", subNames[i])
		var words []string
		if s.Unordered {
			words = append(words, "unordered")
		} else {
			words = append(words, "ordered")
		}
		if s.BlockOnDead {
			words = append(words, "blocked by dead messages")
		}
		if s.AckByConsumer {
			words = append(words, "acknowledged by its consumer")
		}
		if i == h.adversary {
			words = append(words, "the one whose destination "+modeWords[h.adversaryMode()])
		}
		fmt.Fprintf(&b, " %s.", strings.Join(words, ", "))
	}
	return b.String()
}
