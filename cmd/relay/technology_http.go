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
	c := s.config
	egress, err := webhook.ParseEgress(c.EgressAllow)
	if err != nil {
		return link{}, fmt.Errorf("RELAY_EGRESS_ALLOW: %w", err)
	}
	d, err := webhook.New(webhook.Config{
		Timeout: c.HTTPTimeout, Concurrency: c.HTTPConcurrency, Secrets: c.HTTPSecrets, Egress: egress, Log: s.log,
		AckURL: string(c.AckURL), AckKey: s.ackKey, Allowed: s.mayAttempt,
	})
	if err != nil {
		return link{}, err
	}
	return link{destination: d, gone: d.Gone, close: d.Close}, nil
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
	if address, err := dial(ctx, target.URL); err != nil {
		mend := mendEndpoint(err, "start the endpoint, or set RELAY_DEFAULT_DESTINATION to where it is")
		d.fail("destination", mend, "%s: %s", target.Redacted(), oneLine(err))
	} else {
		d.ok("destination", "%s answers at %s", target.Redacted(), address)
	}
	if len(d.config.HTTPSecrets) == 0 {
		d.warn("signature", "set RELAY_HTTP_SECRET=whsec_$(openssl rand -base64 32), and the same at the receiver", "requests are not signed: a receiver cannot tell who sent them")
	}
}

// checkAcknowledgements looks for HTTP consumers that are to acknowledge and cannot.
func checkAcknowledgements(ctx context.Context, d *doctor, examiner *sql.Examiner) {
	names, err := examiner.Acknowledging(ctx, func(t relay.Target) bool { return t.URL != nil })
	switch {
	case err != nil:
		d.failed("acknowledgement", err)
	case len(names) > 0 && d.config.AckURL == "":
		d.fail("acknowledgement", "set RELAY_ACK_ADDR and RELAY_ACK_URL for every relay, or relay subscriptions set "+names[0]+" --ack response",
			"HTTP consumers cannot acknowledge, so nothing is sent to them: %s", strings.Join(names, ", "))
	case len(names) > 0:
		d.ok("acknowledgement", "HTTP consumers acknowledge at %s: %s", d.config.AckURL, strings.Join(names, ", "))
	}
}
