// Package schedule says when the groups of shards are swept (RELAY_RECONCILE).
package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/adhocore/gronx"

	"relay"
)

// DefaultLimit is the limit of a group that names none.
const DefaultLimit = 500

// MaxLimit is the largest number of rows that one statement of a sweep may take.
const MaxLimit = 10_000

// MinEvery is the shortest fixed delay. Sweeps closer together would find nothing that
// the timer of due rows does not find, and keep the database busy.
const MinEvery = 10 * time.Millisecond

// Group is one group of shards that is swept together: which shards, when, and how many
// rows one statement may take. Exactly one of Every and Cron is set.
type Group struct {
	// Shards lists the group's shards, ascending, each from 0 to relay.Shards-1.
	Shards []int16
	// Every is the fixed delay from the end of one sweep to the start of the next. Zero: by Cron.
	Every time.Duration
	// Cron is a cron line of five fields, or of six with seconds first. Empty: by Every.
	Cron string
	// Limit bounds the rows of one statement, not the rate: a full batch is followed by
	// the next at once. From 1 to MaxLimit.
	Limit int
}

// Parse reads RELAY_RECONCILE: groups separated by semicolons, each of the form
//
//	<shards> every <delay> [limit <rows>]
//	<shards> cron <five or six fields> [limit <rows>]
//
// where shards is a list such as 0-15,32. Each of the relay.Shards shards must stand in
// exactly one group. The error is one line that names the group or shard at fault.
func Parse(s string) ([]Group, error) {
	var groups []Group
	var owner [relay.Shards]int // the number of the group that a shard stands in, from 1
	for i, text := range strings.Split(s, ";") {
		g, err := parseGroup(text)
		if err != nil {
			return nil, fmt.Errorf("group %d: %w", i+1, err)
		}
		for _, shard := range g.Shards {
			if owner[shard] != 0 {
				return nil, fmt.Errorf("shard %d stands in group %d and in group %d, exactly one is allowed", shard, owner[shard], i+1)
			}
			owner[shard] = i + 1
		}
		groups = append(groups, g)
	}
	for shard, group := range owner {
		if group == 0 {
			return nil, fmt.Errorf("shard %d stands in no group, each of 0 to %d must stand in exactly one", shard, relay.Shards-1)
		}
	}
	return groups, nil
}

func parseGroup(s string) (Group, error) {
	words := strings.Fields(s)
	if len(words) < 3 {
		return Group{}, fmt.Errorf("%q is neither '<shards> every <delay>' nor '<shards> cron <fields>'", strings.TrimSpace(s))
	}
	shards, err := parseShards(words[0])
	if err != nil {
		return Group{}, err
	}
	g := Group{Shards: shards, Limit: DefaultLimit}
	kind, when := words[1], words[2:]
	if n := len(when); n >= 2 && when[n-2] == "limit" {
		if g.Limit, err = parseNumber(when[n-1], 1, MaxLimit); err != nil {
			return Group{}, fmt.Errorf("limit %w", err)
		}
		when = when[:n-2]
	}
	switch kind {
	case "every":
		g.Every, err = parseEvery(when)
	case "cron":
		g.Cron, err = parseCron(when)
	default:
		err = fmt.Errorf("%q after the shards, 'every' or 'cron' is allowed", kind)
	}
	return g, err
}

// parseShards reads a list such as 0-15,32 and returns it in ascending order.
func parseShards(s string) ([]int16, error) {
	var in [relay.Shards]bool
	for item := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(item, "-")
		if !isRange {
			to = from
		}
		first, err := parseNumber(from, 0, relay.Shards-1)
		if err != nil {
			return nil, fmt.Errorf("shard %w", err)
		}
		last, err := parseNumber(to, 0, relay.Shards-1)
		if err != nil {
			return nil, fmt.Errorf("shard %w", err)
		}
		if last < first {
			return nil, fmt.Errorf("shards %q run backwards", item)
		}
		for shard := first; shard <= last; shard++ {
			if in[shard] {
				return nil, fmt.Errorf("shard %d is listed twice", shard)
			}
			in[shard] = true
		}
	}
	var shards []int16
	for shard, listed := range in {
		if listed {
			shards = append(shards, int16(shard))
		}
	}
	return shards, nil
}

func parseNumber(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most || s[0] == '+' {
		return 0, fmt.Errorf("%q is not a number from %d to %d", s, least, most)
	}
	return n, nil
}

func parseEvery(words []string) (time.Duration, error) {
	text := strings.Join(words, " ")
	every, err := time.ParseDuration(text)
	if err != nil || every < MinEvery {
		return 0, fmt.Errorf("every %q is not a delay of at least %v, such as 500ms, 5s or 1m", text, MinEvery)
	}
	return every, nil
}

// parseCron judges each item of each field by itself: the library looks at a list only
// up to the first item that is due at the moment, and would accept 5,99 now and then.
func parseCron(words []string) (string, error) {
	if len(words) != 5 && len(words) != 6 {
		return "", fmt.Errorf("cron line of %d fields, five or six (seconds first) are allowed", len(words))
	}
	for i, field := range explicit(words) {
		for item := range strings.SplitSeq(field, ",") {
			if !validCronItem(i, item) {
				return "", fmt.Errorf("cron field %q is malformed or out of range", field)
			}
		}
	}
	// 2024 is a leap year; a line that never comes up from there never does.
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := gronx.NextTickAfter(strings.Join(explicit(words), " "), start, false); err != nil {
		return "", fmt.Errorf("cron line %q never comes due", strings.Join(words, " "))
	}
	return strings.Join(words, " "), nil
}

// explicit returns the seven fields, from second to year, that five or six stand for. With
// fewer the library guesses, and takes a last field of four digits for a year.
func explicit(fields []string) []string {
	if len(fields) == 5 {
		fields = append([]string{"0"}, fields...)
	}
	return append(slices.Clone(fields), "*")
}

func validCronItem(field int, item string) bool {
	fields := []string{"*", "*", "*", "*", "*", "*", "*"}
	fields[field] = item
	return gronx.IsValid(strings.Join(fields, " "))
}

// Next returns the time of the sweep that follows one which ended at now; it is always
// after now. Cron lines are read in now's location.
func (g Group) Next(now time.Time) time.Time {
	if g.Every > 0 {
		return now.Add(g.Every)
	}
	next, err := gronx.NextTickAfter(strings.Join(explicit(strings.Fields(g.Cron)), " "), now, false)
	if err != nil || !next.After(now) {
		// A sweep too many does no harm; one too few would leave messages lying.
		return now.Add(time.Minute)
	}
	return next
}

// String returns the group in the form that Parse reads.
func (g Group) String() string {
	when := "every " + g.Every.String()
	if g.Cron != "" {
		when = "cron " + g.Cron
	}
	return fmt.Sprintf("%s %s limit %d", formatShards(g.Shards), when, g.Limit)
}

// formatShards is the inverse of parseShards.
func formatShards(shards []int16) string {
	var items []string
	for i := 0; i < len(shards); {
		j := i
		for j+1 < len(shards) && shards[j+1] == shards[j]+1 {
			j++
		}
		item := strconv.Itoa(int(shards[i]))
		if j > i {
			item += "-" + strconv.Itoa(int(shards[j]))
		}
		items = append(items, item)
		i = j + 1
	}
	return strings.Join(items, ",")
}
