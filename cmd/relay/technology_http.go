package main

import (
	"context"
	"fmt"
	"strings"

	"relay"
	"relay/notify"
	"relay/notify/webhook"
	"relay/sql"
)

// overHTTP is the technology of http:// and https:// targets.
func overHTTP() technology {
	return technology{
		describe: func(c Config) notify.Technology { return webhook.Technology(c.HTTPConcurrency, c.AckURL != "") },
		connect:  connectHTTP,

		checkDestination: checkDefaultEndpoint,
		checkTargets:     checkEndpoints,
		checkTable:       checkAcknowledgements,

		rowsAnywhere: func(c Config) string { return "every URL " + openAddresses(c) },
		rowsWithin:   func(c Config) string { return "over HTTP " + openAddresses(c) },
	}
}

// connectHTTP makes the destination of HTTP. It connects to an endpoint when there is something to send.
func connectHTTP(s *service) (link, error) {
	d, err := newDestination(s.config, webhook.Config{Log: s.log, AckKey: s.ackKey, Allowed: s.mayAttempt})
	if err != nil {
		return link{}, err
	}
	return link{destination: d, gone: d.Gone, close: d.Close}, nil
}

// newDestination makes the destination of HTTP, with the settings and what else it needs.
func newDestination(c Config, w webhook.Config) (*webhook.Destination, error) {
	var err error
	if w.Egress, err = webhook.ParseEgress(c.EgressAllow); err != nil {
		return nil, fmt.Errorf("RELAY_EGRESS_ALLOW: %w", err)
	}
	if w.Certificates, err = webhook.ParseCertificates(c.HTTPTLS); err != nil {
		return nil, fmt.Errorf("RELAY_HTTP_TLS: %w", err)
	}
	if w.Proxies, err = webhook.ParseProxies(string(c.HTTPProxy)); err != nil {
		return nil, fmt.Errorf("RELAY_HTTP_PROXY: %w", err)
	}
	w.Timeout, w.Concurrency, w.Secrets, w.AckURL = c.HTTPTimeout, c.HTTPConcurrency, c.HTTPSecrets, string(c.AckURL)
	return webhook.New(w)
}

// openAddresses says where a URL in a row may lead.
func openAddresses(c Config) string {
	if allowed := strings.TrimSpace(c.EgressAllow); allowed != "" {
		return "at public addresses and those of RELAY_EGRESS_ALLOW (" + allowed + ")"
	}
	return "at public addresses alone"
}

// checkDefaultEndpoint resolves and dials the default destination. It sends no request, which
// would be one that the endpoint did not expect.
func checkDefaultEndpoint(ctx context.Context, d *doctor, target relay.Target) {
	dialling := d.config
	dialling.HTTPSecrets = nil // the relay reports them hidden, and a connection needs none
	destination, err := newDestination(dialling, webhook.Config{})
	if err != nil {
		d.failed("destination", err)
		return
	}
	defer destination.Close()
	if address, err := reach(ctx, destination, target); err != nil {
		mend := mendEndpoint(err, "start what listens at "+target.URL.Host+"; or set RELAY_DEFAULT_DESTINATION to where it is"+startAgain)
		d.fail("destination", mend, "%s: %s", target.Redacted(), oneLine(err))
	} else {
		d.ok("destination", "%s answers at %s", target.Redacted(), address)
	}
	if len(d.config.HTTPSecrets) == 0 {
		d.warn("signature", "set RELAY_HTTP_SECRET=whsec_$(openssl rand -base64 32)"+startAgain+", then give the same secret to the receiver", "requests are not signed: a receiver cannot tell who sent them")
	}
}

// checkAcknowledgements looks for HTTP consumers that are to acknowledge and cannot.
func checkAcknowledgements(ctx context.Context, d *doctor, examiner *sql.Examiner) {
	names, err := examiner.Acknowledging(ctx, func(t relay.Target) bool { return t.URL != nil })
	switch {
	case err != nil:
		d.failed("acknowledgement", err)
	case len(names) > 0 && d.config.AckURL == "":
		d.fail("acknowledgement", "relay subscriptions set "+names[0]+" --ack response; or set RELAY_ACK_ADDR and RELAY_ACK_URL for every relay"+startAgain,
			"HTTP consumers cannot acknowledge, so nothing is sent to them: %s", strings.Join(names, ", "))
	case len(names) > 0:
		d.ok("acknowledgement", "HTTP consumers acknowledge at %s: %s", d.config.AckURL, strings.Join(names, ", "))
	}
}
