package main

import (
	"net/url"

	"relay"
)

// logStart says what this relay is, where it works, and how it learns of new rows.
func (s *service) logStart() {
	c := s.config
	s.log.Info("relay started", "version", version(), "database", databaseShown(string(c.DatabaseURL)), "source", c.Source,
		"new_rows", learnsBy(c.Capture), "default_destination", defaultShown(c.DefaultDestination),
		"metrics", orOff(c.MetricsAddr), "message_centre", orOff(c.AdminAddr), "acknowledgements", orOff(c.AckAddr))
}

// learnsBy says how a relay learns of new rows, in the words of the manual.
func learnsBy(capture Capture) string {
	switch capture {
	case CaptureNotify:
		return "by a NOTIFY trigger"
	case CapturePoll:
		return "by sweeps alone"
	}
	return "by logical replication"
}

// databaseShown names a database with its host, and no more of its URL.
func databaseShown(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "as RELAY_DATABASE_URL says" // keywords, or a socket
	}
	return u.Host + u.Path
}

func defaultShown(d Destination) string {
	if d.Kind == relay.TargetNone {
		return "none"
	}
	return d.Redacted()
}

func orOff(a Address) string {
	if a == "" {
		return "off"
	}
	return string(a)
}
