package main

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"relay"
	"relay/schedule"
)

// Capture is how the relay hears of new rows.
type Capture string

// These are the ways of capture. Sweeps run in each of them.
const (
	CaptureStream Capture = "stream" // logical replication
	CaptureNotify Capture = "notify" // a trigger that calls NOTIFY
	CapturePoll   Capture = "poll"   // sweeps alone
)

// EnvDecode accepts the three words.
func (c *Capture) EnvDecode(value string) error {
	return oneOf(c, value, CaptureStream, CaptureNotify, CapturePoll)
}

// Adopt is what a relay does on a database that is a copy of another one.
type Adopt string

// These are the answers to what is done with a copy.
const (
	AdoptAsk  Adopt = "ask"  // it waits for relay adopt
	AdoptAuto Adopt = "auto" // it delivers from the copy
)

// EnvDecode accepts the two words.
func (a *Adopt) EnvDecode(value string) error {
	return oneOf(a, value, AdoptAsk, AdoptAuto)
}

// LogFormat is the form of the log.
type LogFormat string

// These are the forms of the log, by the handlers of log/slog.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// EnvDecode accepts the two words.
func (f *LogFormat) EnvDecode(value string) error {
	return oneOf(f, value, LogText, LogJSON)
}

func oneOf[T ~string](to *T, value string, allowed ...T) error {
	if !slices.Contains(allowed, T(value)) {
		return reason("unknown word")
	}
	*to = T(value)
	return nil
}

// Bytes is a size in bytes.
type Bytes int64

// EnvDecode reads a whole number with an optional unit: B, kB, MB, GB (powers of 1000),
// KiB, MiB, GiB (powers of 1024).
func (b *Bytes) EnvDecode(value string) error {
	digits := strings.TrimRight(value, "BGKMik ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return reason("not a whole number with a unit")
	}
	unit, ok := map[string]int64{
		"": 1, "B": 1,
		"kB": 1e3, "MB": 1e6, "GB": 1e9,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
	}[strings.TrimSpace(value[len(digits):])]
	if !ok {
		return reason("unknown unit, not one of B, kB, MB, GB, KiB, MiB, GiB")
	}
	if n > math.MaxInt64/unit || n < 0 {
		return reason("out of range")
	}
	*b = Bytes(n * unit)
	return nil
}

// Backoff holds the intervals between attempts; the last repeats.
type Backoff []time.Duration

// EnvDecode reads durations above zero separated by commas.
func (b *Backoff) EnvDecode(value string) error {
	var list Backoff
	for item := range strings.SplitSeq(value, ",") {
		d, err := time.ParseDuration(strings.TrimSpace(item))
		if err != nil || d <= 0 {
			return reason(fmt.Sprintf("%q is not a duration above 0", item))
		}
		list = append(list, d)
	}
	*b = list
	return nil
}

// Address is where to listen, as host:port. Empty means that there is no such address.
type Address string

// EnvDecode reads host:port, :port, or the word off.
func (a *Address) EnvDecode(value string) error {
	if value == "off" {
		*a = ""
		return nil
	}
	_, port, err := net.SplitHostPort(value)
	if err != nil {
		return reason("not host:port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return reason("the port is not a number from 0 to 65535")
	}
	*a = Address(value)
	return nil
}

// Loopback reports whether only this machine can reach the address.
func (a Address) Loopback() bool {
	host, _, _ := net.SplitHostPort(string(a))
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Groups are the groups of shards that the reconciler sweeps.
type Groups []schedule.Group

// EnvDecode reads the groups as schedule.Parse does.
func (g *Groups) EnvDecode(value string) error {
	groups, err := schedule.Parse(value)
	if err != nil {
		return reason(err.Error())
	}
	*g = groups
	return nil
}

// Destination is a target set by the operator. The zero value has the kind
// relay.TargetNone. It prints as relay.Target.Redacted has it.
type Destination struct{ relay.Target }

// EnvDecode reads any target but a subscription's name. Empty means that there is none.
func (d *Destination) EnvDecode(value string) error {
	if value == "" {
		return nil
	}
	target, err := relay.ParseTarget(value)
	if err != nil {
		return reason(err.Error())
	}
	if target.Kind == relay.TargetSubscription {
		return reason("a subscription's name is no destination here")
	}
	d.Target = target
	return nil
}

// AckURL is the address below which HTTP consumers acknowledge, without a slash at its end.
type AckURL string

// EnvDecode reads an HTTP target without user and query.
func (u *AckURL) EnvDecode(value string) error {
	if value == "" {
		return nil
	}
	target, err := relay.ParseTarget(value)
	switch {
	case err != nil:
		return reason(err.Error())
	case target.Kind != relay.TargetHTTP:
		return reason("no URL")
	case target.URL.User != nil || target.URL.RawQuery != "" || target.URL.ForceQuery:
		return reason("it holds a user, a password or a query, which stand in every header relay-ack-url")
	}
	*u = AckURL(strings.TrimRight(target.URL.String(), "/"))
	return nil
}

// String returns the target redacted.
func (d Destination) String() string {
	if d.Kind == relay.TargetNone {
		return ""
	}
	return d.Redacted()
}

// GoString keeps %#v from printing a password.
func (d Destination) GoString() string { return d.String() }

// MarshalText keeps JSON and logs from printing a password.
func (d Destination) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
