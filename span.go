package relay

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// errSpan says how a time span is written.
var errSpan = errors.New("not a time span, such as 90s, 1h30m, 7d, 2 days or 01:30:00")

// spanUnits are the units of a time span, as PostgreSQL's intervals have them. Months and years have no fixed length.
var spanUnits = map[string]time.Duration{
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second, "": time.Second,
	"ms": time.Millisecond, "msec": time.Millisecond, "msecs": time.Millisecond, "millisecond": time.Millisecond, "milliseconds": time.Millisecond,
	"us": time.Microsecond, "usec": time.Microsecond, "usecs": time.Microsecond, "microsecond": time.Microsecond, "microseconds": time.Microsecond,
}

var (
	spanPart  = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*`)
	spanClock = regexp.MustCompile(`^([0-9]+):([0-5]?[0-9])(?::([0-5]?[0-9](?:\.[0-9]+)?))?$`)
)

// ParseSpan reads a time span as PostgreSQL reads an interval: numbers with units from microseconds to weeks, as 90s,
// 1h30m or 2 days, and hours, minutes and seconds, as 01:30:00. A number alone is of seconds. A minus before it all
// makes it negative. A day has 24 hours.
func ParseSpan(text string) (time.Duration, error) {
	rest, negative := strings.CutPrefix(strings.ToLower(strings.TrimSpace(text)), "-")
	if rest == "" {
		return 0, errSpan
	}
	total := 0.0
	for rest != "" {
		if clock := spanClock.FindStringSubmatch(rest); clock != nil {
			total += clockSeconds(clock) * float64(time.Second)
			break
		}
		part := spanPart.FindStringSubmatch(rest)
		if part == nil {
			return 0, errSpan
		}
		unit, known := spanUnits[part[2]]
		if alone := part[0] == strings.TrimPrefix(strings.ToLower(strings.TrimSpace(text)), "-"); !known || part[2] == "" && !alone {
			return 0, errSpan
		}
		number, _ := strconv.ParseFloat(part[1], 64) // the expression admits numbers alone
		total += number * float64(unit)
		rest = rest[len(part[0]):]
	}
	if total > math.MaxInt64/2 {
		return 0, errors.New("a time span above 146 years")
	}
	if negative {
		total = -total
	}
	return time.Duration(math.Round(total)), nil
}

// clockSeconds is what hours, minutes and seconds amount to; without a third number they are hours and minutes.
func clockSeconds(clock []string) float64 {
	total := 0.0
	for i, unit := range []float64{3600, 60, 1} {
		n, _ := strconv.ParseFloat(clock[i+1], 64) // the expression admits numbers, and nothing for the last
		total += n * unit
	}
	return total
}
