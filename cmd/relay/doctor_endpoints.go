package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net"
	"relay"
	"relay/notify/webhook"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// dialLimit bounds each attempt to reach something.
	dialLimit = 5 * time.Second
	// dialedAtOnce is how many endpoints are dialed at once, dialedMost how many at all.
	dialedAtOnce = 16
	dialedMost   = 100
)

// endpoint is an origin with the subscriptions that lead there.
type endpoint struct {
	target relay.Target // of one of them
	names  []string
}

// checkEndpoints dials each origin once, the first hundred of them.
func checkEndpoints(ctx context.Context, d *doctor, subscriptions []subscriptionAt) {
	endpoints := make(map[string]*endpoint)
	for _, s := range subscriptions {
		at := endpoints[s.target.Origin()]
		if at == nil {
			at = &endpoint{target: s.target}
			endpoints[s.target.Origin()] = at
		}
		at.names = append(at.names, s.name)
	}
	destination, err := newDestination(d.config, webhook.Config{})
	if err != nil {
		d.failed("endpoints", err)
		return
	}
	defer destination.Close()
	origins := slices.Sorted(maps.Keys(endpoints))
	if len(origins) > dialedMost {
		d.ok("endpoints", "of %d the first %d are dialed", len(origins), dialedMost)
		origins = origins[:dialedMost]
	}
	refusals := make(map[string]error)
	var mu sync.Mutex
	var all errgroup.Group
	all.SetLimit(dialedAtOnce)
	for _, origin := range origins {
		all.Go(func() error {
			if _, err := reach(ctx, destination, endpoints[origin].target); err != nil {
				mu.Lock()
				defer mu.Unlock()
				refusals[origin] = err
			}
			return nil
		})
	}
	_ = all.Wait() // none of them returns an error
	checkTokens(ctx, d, destination, subscriptions)
	for _, origin := range slices.Sorted(maps.Keys(refusals)) {
		err, names := refusals[origin], endpoints[origin].names
		d.fail("endpoints", mendEndpoint(err, "start it, or relay subscriptions set "+names[0]+" --target …"),
			"%s, of %s: %s", origin, naming(names), oneLine(err))
	}
}

// checkTokens asks for a token for each subscription with OAuth2, as a delivery would.
func checkTokens(ctx context.Context, d *doctor, destination *webhook.Destination, subscriptions []subscriptionAt) {
	for _, s := range subscriptions[:min(len(subscriptions), dialedMost)] {
		limited, cancel := context.WithTimeout(ctx, dialLimit)
		if err := destination.CheckToken(limited, s.subscriber); err != nil {
			d.fail("oauth2", "correct what it names: relay subscriptions set "+s.name+" --header …, with all that it has", "nothing is sent to %s: %s", s.name, oneLine(err))
		}
		cancel()
	}
}

// reach connects to an endpoint as a delivery would, and returns the address that answered.
func reach(ctx context.Context, destination *webhook.Destination, target relay.Target) (address string, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	return destination.Reach(ctx, target)
}

// mendEndpoint says what helps against an endpoint that was not reached; start is for one that
// is not there.
func mendEndpoint(err error, start string) string {
	switch {
	case webhook.IsProxy(err):
		return "correct RELAY_HTTP_PROXY, allow the relay's machine and the host at the proxy, or exempt the host: RELAY_HTTP_PROXY=\"<host>=direct …\""
	case isNotFound(err):
		return "correct the host's name, or its DNS"
	case isCertificate(err):
		return "give the endpoint a certificate for its name that this machine trusts, or name its authority: RELAY_HTTP_TLS=\"<host> ca=<file>\""
	case webhook.WantsCertificate(err):
		return "name the certificate that the endpoint wants to see: RELAY_HTTP_TLS=\"<host> cert=<file> key=<file>\""
	}
	return start
}

func isNotFound(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns)
}

func isCertificate(err error) bool {
	var verify *tls.CertificateVerificationError
	return errors.As(err, &verify) || errors.As(err, new(x509.HostnameError))
}
