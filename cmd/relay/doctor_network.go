package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"relay"
)

// dialLimit bounds each attempt to reach something.
const dialLimit = 5 * time.Second

// checkDestination resolves and dials the default destination. It sends no request, which
// would be one that the endpoint did not expect.
func (d *doctor) checkDestination(ctx context.Context) {
	target := d.config.DefaultDestination
	switch target.Kind {
	case relay.TargetNone:
		d.ok("destination", "RELAY_DEFAULT_DESTINATION is not set: a message that names no destination and matches no subscription is rejected")
		return
	case relay.TargetHTTP:
	default:
		d.ok("destination", "%s, on the broker", target)
		return
	}
	if address, err := dial(ctx, target.URL); err != nil {
		mend := mendEndpoint(err, "start the endpoint, or set RELAY_DEFAULT_DESTINATION to where it is")
		d.fail("destination", mend, "%s: %s", target, oneLine(err))
	} else {
		d.ok("destination", "%s answers at %s", target, address)
	}
	if len(d.config.HTTPSecrets) == 0 {
		d.warn("signature", "set RELAY_HTTP_SECRET=whsec_$(openssl rand -base64 32), and the same at the receiver", "requests are not signed: a receiver cannot tell who sent them")
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

// checkBroker connects to the broker, if there is one to connect to.
func (d *doctor) checkBroker() {
	if d.config.AMQPURL == "" {
		d.ok("broker", "RELAY_AMQP_URL is not set: rows that name an amqp: target are rejected, and what subscriptions send there waits")
		return
	}
	conn, err := amqp.DialConfig(string(d.config.AMQPURL), amqp.Config{Dial: amqp.DefaultDial(dialLimit)})
	if err != nil {
		d.fail("broker", mendBroker(err, string(d.config.AMQPURL)), "%s: %s", d.config.AMQPURL, oneLine(err))
		return
	}
	product, _ := conn.Properties["product"].(string)
	version, _ := conn.Properties["version"].(string)
	d.ok("broker", "%s %s at %s", product, version, d.config.AMQPURL)
	// What closing says is of no use: all was asked.
	_ = conn.CloseDeadline(time.Now().Add(time.Second))
}

// mendBroker says what helps against a broker that was not reached.
func mendBroker(err error, address string) string {
	uri, parseErr := amqp.ParseURI(address)
	if parseErr != nil {
		return "correct RELAY_AMQP_URL"
	}
	var answer *amqp.Error
	switch {
	case errors.As(err, &answer) && answer.Code == amqp.AccessRefused:
		return fmt.Sprintf("correct user and password in RELAY_AMQP_URL, or rabbitmqctl add_user %s", uri.Username)
	case errors.As(err, &answer) && (answer.Code == amqp.NotAllowed || answer.Code == amqp.NotFound):
		return fmt.Sprintf("rabbitmqctl add_vhost %s; rabbitmqctl set_permissions -p %[1]s %s '.*' '.*' '.*'", strconv.Quote(uri.Vhost), uri.Username)
	}
	return fmt.Sprintf("start the broker at %s (rabbitmq-server), or set RELAY_AMQP_URL to where it is", net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)))
}
