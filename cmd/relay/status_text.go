package main

import (
	"fmt"
	"strings"
	"time"

	"relay"
	"relay/operate"
	"relay/sql"
)

// caughtUp is the lag in bytes below which a slot counts as caught up: the relay confirms
// what it has heard every few seconds.
const caughtUp = 1 << 20

// statusText is the status for one screen: a line for each thing, wide ones cut.
func statusText(s operate.Status, width int) string {
	var b strings.Builder
	line := func(name, format string, values ...any) {
		fmt.Fprintf(&b, "%-9s  %s\n", name, cut(visible(fmt.Sprintf(format, values...)), width-11))
	}
	line("schema", "%s", schemaText(s.Schema))
	for _, r := range s.Relays {
		line("relay", "%s", relayText(r))
		if !r.Silent {
			reportText(r.Report, line)
		}
	}
	if operate.Running(s.Relays) == 0 {
		line("relay", "none runs")
	}
	if s.Slot != nil {
		line("slot", "%s", slotText(*s.Slot))
	}
	for _, sentence := range countTexts(s.Messages) {
		line("messages", "%s", sentence)
	}
	for _, w := range s.Waiting {
		line("waiting", "%s for %s (%s)%s", standingText(w.Count), w.Subscription, w.Why, afterColon(w.Error))
	}
	if s.NextDueIn != nil {
		line("next due", "%s", inWords(seconds(*s.NextDueIn)))
	}
	for _, d := range s.Dead {
		line("dead", "%s of %s%s", standingText(d.Count), d.Subscription, afterColon(d.Error))
	}
	return b.String()
}

// shownCircuits is how many destinations that are down are shown of a relay.
const shownCircuits = 3

// reportText shows what a relay says about itself: how it is set, and what does not go on.
func reportText(report *sql.Report, line func(name, format string, values ...any)) {
	if report == nil {
		return
	}
	line("settings", "%s", settingsText(report.Settings))
	for _, c := range report.Circuits[:min(len(report.Circuits), shownCircuits)] {
		line("down", "%s, since %s%s", c.Name, c.Since.UTC().Format(time.RFC3339), afterColon(c.Why))
	}
	for _, text := range report.HeldBack[:min(len(report.HeldBack), shownCircuits)] {
		line("held back", "%s", text)
	}
	if report.Quarantined > 0 {
		line("held back", "%d rows in quarantine: relay doctor names them", report.Quarantined)
	}
	if report.Trouble != "" {
		line("trouble", "%s", report.Trouble)
	}
}

func schemaText(s operate.SchemaStatus) string {
	switch {
	case s.Version == 0:
		return fmt.Sprintf("this role does not own it; this program needs version %d", s.Needed)
	case s.Version < s.Needed:
		return fmt.Sprintf("version %d, this program needs %d: run relay migrate", s.Version, s.Needed)
	case s.Version > s.Needed:
		return fmt.Sprintf("version %d, this program knows %d", s.Version, s.Needed)
	}
	return fmt.Sprintf("version %d", s.Version)
}

func relayText(r operate.RelayStatus) string {
	seen := age(seconds(r.SeenAgo).Round(100 * time.Millisecond))
	if r.Silent {
		text := fmt.Sprintf("%s (%s): silent for %s, it did not end in order", r.Name, r.Version, seen)
		if r.Expired > 0 {
			text += fmt.Sprintf("; %d shards wait for another relay", r.Expired)
		}
		return text
	}
	text := fmt.Sprintf("%s (%s): %d of %d shards", r.Name, r.Version, r.Shards, relay.Shards)
	if r.Expired > 0 {
		text += fmt.Sprintf(", %d more that wait for another relay", r.Expired)
	}
	if r.Streaming {
		text += ", hears the stream"
	}
	return text + ", seen " + seen + " ago"
}

func slotText(s operate.SlotStatus) string {
	switch {
	case !s.Exists:
		return fmt.Sprintf("there is no %q: relays work by sweeps", s.Name)
	case s.Flaw != "":
		return fmt.Sprintf("%q: %s", s.Name, s.Flaw)
	case s.NotHeard != "":
		return fmt.Sprintf("%q is not heard: %s", s.Name, s.NotHeard)
	}
	text := fmt.Sprintf("%q ", s.Name)
	switch {
	case s.Reader == "":
		text += "is read by no relay, " + bytesText(s.Confirmed) + " behind"
	case s.Confirmed < caughtUp:
		text += "is caught up"
	default:
		text += "is " + bytesText(s.Confirmed) + " behind"
	}
	return text + "; the server keeps " + bytesText(s.Restart) + " of WAL for it"
}

func countTexts(m operate.MessageStatus) []string {
	pending := standingText(m.Pending) + " pending"
	if m.OldestPending > 0 {
		pending += ", the oldest for " + age(seconds(m.OldestPending).Round(100*time.Millisecond))
	}
	pending += "; " + standingText(m.Delayed) + " delayed, " + standingText(m.Open) + " open"
	ended := standingText(m.Dead) + " dead, " + standingText(m.Rejected) + " rejected"
	if m.Rows != nil {
		ended += fmt.Sprintf("; about %d in all", *m.Rows)
	} else {
		ended += fmt.Sprintf(", %d done, %d cancelled", *m.Done, *m.Cancelled)
	}
	return []string{pending, ended}
}

// standingText prints a count of what stands in the tables.
func standingText(n int) string { return atLeast(n, sql.StandingLimit) }

// inWords says when something is due.
func inWords(d time.Duration) string {
	switch {
	case d.Abs() < time.Second:
		return "now"
	case d < 0:
		return "overdue for " + age(-d)
	}
	return "in " + age(d)
}

// afterColon appends an error to a sentence.
func afterColon(err string) string {
	if err == "" {
		return ""
	}
	return ": " + causeFirst(err)
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
