package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"relay"
	"relay/sql"
)

// startAgain is the step after variables have been changed.
const startAgain = ", then start the relay again"

// followRelays reads what the running relays say about themselves. What is judged by variables is judged by theirs
// from now on: the shell's may be others.
func (d *doctor) followRelays(ctx context.Context, examiner *sql.Examiner) {
	relays, err := settledReports(ctx, examiner)
	if err != nil {
		d.failed("relays", err)
		return
	}
	d.relays = relays
	if len(relays) == 0 {
		d.ok("configuration", "no relay runs that reports, so the variables of this shell are judged: rows are heard of by %s", d.config.Capture)
		return
	}
	d.follow(relays[0].Report.Settings)
	for _, r := range relays {
		d.ok("configuration", "%s runs with %s", r.Name, settingsText(r.Report.Settings))
		for _, name := range slices.Sorted(maps.Keys(r.Report.Unknown)) {
			d.warn("configuration", "unset "+name+startAgain+"; or write "+r.Report.Unknown[name], "unknown variable %s in the environment of %s", name, r.Name)
		}
	}
	d.compareSettings()
}

// settle is how long a report may lag behind what it tells of.
const settle = 2 * reportEvery

// settledReports reads the reports, and reads them again a moment later if one says that something is not connected: a
// relay that has just started has told the truth, and it is no fault any more.
func settledReports(ctx context.Context, examiner *sql.Examiner) ([]sql.ReportingRelay, error) {
	relays, err := examiner.Reports(ctx)
	if err != nil || !slices.ContainsFunc(relays, unconnected) {
		return relays, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(settle):
	}
	return examiner.Reports(ctx)
}

// unconnected reports whether a relay hears of no commit, or has no connection to its broker.
func unconnected(r sql.ReportingRelay) bool {
	bell, broker := r.Report.Doorbell, r.Report.Broker
	return bell != nil && !bell.Heard || broker != nil && !broker.Up
}

// follow takes over the settings of a running relay.
func (d *doctor) follow(s map[string]string) {
	c := &d.config
	c.Capture, c.Slot, c.Publication, c.Adopt = Capture(s["RELAY_CAPTURE"]), s["RELAY_SLOT"], s["RELAY_PUBLICATION"], Adopt(s["RELAY_ADOPT"])
	c.Source, c.EgressAllow, c.RowDestinations = s["RELAY_SOURCE"], s["RELAY_EGRESS_ALLOW"], s["RELAY_ROW_DESTINATIONS"]
	c.AckURL = AckURL(s["RELAY_ACK_URL"])
	if n, err := strconv.Atoi(s["RELAY_DATABASE_CONNECTIONS"]); err == nil {
		c.DatabaseConnections = n
	}
	// Secrets are hidden. What matters of them is whether they are set, and of URLs where they lead.
	c.AMQPURL, c.HTTPSecrets, c.DefaultDestination = Secret(s["RELAY_AMQP_URL"]), nil, Destination{}
	if secret := s["RELAY_HTTP_SECRET"]; secret != "" {
		c.HTTPSecrets = Secrets{secret}
	}
	if target, err := relay.ParseTarget(strings.ReplaceAll(s["RELAY_DEFAULT_DESTINATION"], "…", "")); err == nil {
		c.DefaultDestination = Destination{target}
	}
}

// settingsText names the settings that explain most of what a relay does.
func settingsText(s map[string]string) string {
	var parts []string
	for _, name := range []string{
		"RELAY_CAPTURE", "RELAY_SLOT", "RELAY_DEFAULT_DESTINATION", "RELAY_AMQP_URL", "RELAY_SOURCE", "RELAY_HTTP_SECRET",
		"RELAY_METRICS_ADDR", "RELAY_ADMIN_ADDR", "RELAY_ACK_URL",
	} {
		if value := s[name]; value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	return strings.Join(parts, " ")
}

// alike are the variables that relays of one database must agree in: a message goes through any of them.
var alike = []string{
	"RELAY_CAPTURE", "RELAY_SLOT", "RELAY_PUBLICATION", "RELAY_DEFAULT_DESTINATION", "RELAY_AMQP_URL", "RELAY_SOURCE",
	"RELAY_HTTP_SECRET", "RELAY_ROW_DESTINATIONS", "RELAY_EGRESS_ALLOW", "RELAY_MAX_PAYLOAD", "RELAY_ACK_URL",
}

// compareSettings warns where relays differ.
func (d *doctor) compareSettings() {
	first := d.relays[0]
	for _, other := range d.relays[1:] {
		for _, name := range alike {
			a, b := first.Report.Settings[name], other.Report.Settings[name]
			if a != b {
				d.warn("configuration", "set "+name+" to the same value for every relay, then start them again",
					"%s: %s has %s, %s has %s; what becomes of a message depends on the relay", name, first.Name, shownOrUnset(a), other.Name, shownOrUnset(b))
			}
		}
	}
}

func shownOrUnset(value string) string {
	if value == "" {
		return "none"
	}
	return strconv.Quote(value)
}

// checkReports tells what the running relays say about themselves.
func (d *doctor) checkReports() {
	for _, r := range d.relays {
		d.checkDoorbell(r)
		for _, c := range r.Report.Circuits {
			d.warn("circuits", d.mendWaiting(sql.Waiting{Circuit: c.Name, Subscription: subscriptionOf(c), Error: c.Why}),
				"%s sends to %s one message at a time: it is down since %s: %s", r.Name, c.Name, c.Since.UTC().Format(time.RFC3339), c.Why)
		}
		for _, text := range r.Report.HeldBack {
			d.warn("held back", "wait until the destination has caught up; or set RELAY_IN_FLIGHT_BYTES and RELAY_IN_FLIGHT higher"+startAgain, "%s: %s", r.Name, text)
		}
		if r.Report.Trouble != "" {
			d.warn("trouble", mendTrouble(r.Report.Trouble), "%s: this fails and is tried again: %s", r.Name, r.Report.Trouble)
		}
	}
}

// checkDoorbell tells how a relay hears of rows. That of a relay that is told by another one is the other one's.
func (d *doctor) checkDoorbell(r sql.ReportingRelay) {
	bell := r.Report.Doorbell
	check := string(d.config.Capture)
	switch {
	case bell == nil, d.config.Capture == CaptureStream && !bell.Stream:
	case bell.Heard:
		d.ok(check, "%s hears of every commit", r.Name)
	default:
		d.fail(check, mendDoorbell(bell), "%s does not hear of commits and works by sweeps: %s", r.Name, bell.Why)
	}
}

func mendDoorbell(bell *sql.DoorbellReport) string {
	if bell.Mend == "" {
		return "wait: the relay tries again by itself"
	}
	return thenStart(bell.Mend)
}

// thenStart has the relay started again after each alternative that sets a variable.
func thenStart(mend string) string {
	alternatives := strings.Split(mend, "; or ")
	for i, a := range alternatives {
		if strings.HasPrefix(a, "set ") && strings.Contains(a, " RELAY_") && !strings.Contains(a, startAgain) {
			alternatives[i] = a + startAgain
		}
	}
	return strings.Join(alternatives, "; or ")
}

// mendTrouble says what helps against what a relay tries in vain.
func mendTrouble(text string) string {
	switch {
	case strings.Contains(text, "42501"):
		return "run relay doctor as a superuser: it names what the relay's role does not own"
	case strings.Contains(text, "55P03"), strings.Contains(text, "lock timeout"):
		return "end the session that holds the lock, named under quarantine or transactions"
	}
	return "read the relay's log; it goes on by itself when the cause is gone"
}

// subscriptionOf returns the subscription of a circuit. Empty means that a row named the destination.
func subscriptionOf(c sql.CircuitReport) string {
	if c.ByRow {
		return ""
	}
	name, _, _ := strings.Cut(c.Name, "/")
	return name
}

// hears reports whether the relay that holds the slot says that it reads it, and whether there is one that says
// anything.
func (d *doctor) hears() (heard, known bool) {
	for _, r := range d.relays {
		if bell := r.Report.Doorbell; bell != nil && bell.Stream {
			return bell.Heard, true
		}
	}
	return false, false
}

// forEvery words a variable to be set, and what must follow.
func forEvery(format string, values ...any) string {
	return "set " + fmt.Sprintf(format, values...) + startAgain
}
