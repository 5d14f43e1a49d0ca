package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
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
	url   *url.URL // of one of them
	names []string
}

// checkEndpoints dials each origin once, the first hundred of them.
func checkEndpoints(ctx context.Context, d *doctor, subscriptions []subscriptionAt) {
	endpoints := make(map[string]*endpoint)
	for _, s := range subscriptions {
		at := endpoints[s.target.Origin()]
		if at == nil {
			at = &endpoint{url: s.target.URL}
			endpoints[s.target.Origin()] = at
		}
		at.names = append(at.names, s.name)
	}
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
			if _, err := dial(ctx, endpoints[origin].url); err != nil {
				mu.Lock()
				defer mu.Unlock()
				refusals[origin] = err
			}
			return nil
		})
	}
	_ = all.Wait() // none of them returns an error
	for _, origin := range slices.Sorted(maps.Keys(refusals)) {
		err, names := refusals[origin], endpoints[origin].names
		d.fail("endpoints", mendEndpoint(err, "start it, or relay subscriptions set "+names[0]+" --target …"),
			"%s, of %s: %s", origin, naming(names), oneLine(err))
	}
}

// dial connects to a URL's host, with TLS for https, and returns its address.
func dial(ctx context.Context, u *url.URL) (address string, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	secure := strings.EqualFold(u.Scheme, "https")
	port := u.Port()
	if port == "" {
		port = map[bool]string{false: "80", true: "443"}[secure]
	}
	var conn net.Conn
	host := net.JoinHostPort(u.Hostname(), port)
	if secure {
		conn, err = new(tls.Dialer).DialContext(ctx, "tcp", host)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", host)
	}
	if err != nil {
		return "", err
	}
	return conn.RemoteAddr().String(), conn.Close()
}

// mendEndpoint says what helps against an endpoint that was not reached; start is for one that
// is not there.
func mendEndpoint(err error, start string) string {
	switch {
	case isNotFound(err):
		return "correct the host's name, or its DNS"
	case isCertificate(err):
		return "give the endpoint a certificate for its name that this machine trusts"
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
