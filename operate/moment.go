package operate

import (
	"fmt"
	"strconv"
	"time"

	"relay"
)

// Moment is a time that a person writes as one, as 2026-01-31T12:00:00Z, or as a time span before now, as 2h or 7d.
// The zero value is no time.
type Moment struct{ time.Time }

// UnmarshalText reads RFC 3339, or a time span as relay.ParseSpan does.
func (m *Moment) UnmarshalText(text []byte) error {
	if span, err := relay.ParseSpan(string(text)); err == nil && span >= 0 {
		m.Time = time.Now().Add(-span)
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%s is neither a time, as 2026-01-31T12:00:00Z, nor a time span before now, as 2h or 7d", quote(string(text)))
	}
	m.Time = at
	return nil
}

// quote returns a value on one line and within reason.
func quote(value string) string {
	const most = 200
	if len(value) > most {
		value = value[:most] + "…"
	}
	return strconv.Quote(value)
}
