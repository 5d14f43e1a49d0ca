package amqp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// Trouble is why an address gives no connection, and what helps.
type Trouble struct {
	Address string // without user and password
	Why     string
	Mend    string
	err     error
}

// Error returns all of it in one line.
func (t *Trouble) Error() string {
	return t.Address + ": " + t.Why + "; to mend it: " + t.Mend
}

// Unwrap returns what the library or the network said.
func (t *Trouble) Unwrap() error { return t.err }

// troubles are the failures of all addresses when no address gave a connection.
type troubles []*Trouble

// Error returns all in one line.
func (all troubles) Error() string {
	lines := make([]string, len(all))
	for i, t := range all {
		lines[i] = t.Error()
	}
	return strings.Join(lines, "; ")
}

// Unwrap returns them.
func (all troubles) Unwrap() []error {
	errs := make([]error, len(all))
	for i, t := range all {
		errs[i] = t
	}
	return errs
}

// explain says what a failure to connect to an address means. socket is the connection that failed.
func (a address) explain(ctx context.Context, err error, socket *socket) *Trouble {
	t := &Trouble{Address: a.String(), Why: errorText(err), err: err}
	for _, by := range []func(error) (why, mend string){a.byNetwork, a.byCertificate, a.byBroker} {
		if why, mend := by(err); mend != "" {
			t.Why, t.Mend = why, mend
			return t
		}
	}
	t.Mend = fmt.Sprintf("start the broker at %s (rabbitmq-server); or set RELAY_AMQP_URL to where it is", a.hostPort())
	if why, mend := a.byProtocol(a.protocol(ctx, err, socket)); mend != "" {
		t.Why, t.Mend = why, mend
	}
	return t
}

// byNetwork explains that the host's name or a file is wrong.
func (a address) byNetwork(err error) (why, mend string) {
	var dns *net.DNSError
	var file *os.PathError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("the host %q is unknown", a.uri.Host), "correct the host in RELAY_AMQP_URL, or its entry in the DNS"
	case errors.As(err, &dns):
		return "the name of the host cannot be resolved: " + dns.Err, "mend the name server of this machine"
	case errors.As(err, &file):
		return file.Error(), "correct cacertfile, certfile or keyfile in RELAY_AMQP_URL, or the rights on the file"
	}
	return "", ""
}

// byCertificate explains that one side refuses the other's certificate.
func (a address) byCertificate(err error) (why, mend string) {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	switch {
	case errors.As(err, &authority):
		return "this machine does not trust the CA of the broker's certificate", "add cacertfile=PATH, the CA's certificate, to RELAY_AMQP_URL"
	case errors.As(err, &host):
		return "the broker's certificate is not for " + host.Host, "write the name that the certificate has, or add server_name_indication=NAME to RELAY_AMQP_URL"
	case errors.As(err, &invalid):
		return "the broker's certificate is not valid: " + invalid.Error(), "give the broker a certificate that is valid now"
	case errors.As(err, &alert) || strings.Contains(err.Error(), "remote error: tls: "):
		why = "the broker refuses the TLS connection: " + lastWords(err)
		if a.uri.CertFile == "" {
			return why, "add certfile=PATH and keyfile=PATH, a client certificate, to RELAY_AMQP_URL"
		}
		return why, "use a client certificate in RELAY_AMQP_URL that is valid and of a CA that the broker trusts (ssl_options.cacertfile)"
	}
	return "", ""
}

// lastWords are what stands behind the last colon of an error.
func lastWords(err error) string {
	text := errorText(err)
	return strings.TrimSpace(text[strings.LastIndexByte(text, ':')+1:])
}

// byBroker explains that the broker knows neither the user nor the vhost.
func (a address) byBroker(err error) (why, mend string) {
	var answer *amqp091.Error
	if !errors.As(err, &answer) {
		return "", ""
	}
	switch answer.Code {
	case amqp091.AccessRefused:
		why = errorText(err)
		switch {
		case answer.Reason == amqp091.ErrSASL.Reason && a.external():
			return "the broker does not offer authentication by certificate (EXTERNAL)", "rabbitmq-plugins enable rabbitmq_auth_mechanism_ssl, and auth_mechanisms.1 = EXTERNAL in rabbitmq.conf"
		case answer.Reason == amqp091.ErrSASL.Reason:
			return "the broker offers none of the ways to authenticate", "set auth_mechanism in RELAY_AMQP_URL to plain, amqplain or external, as the broker's auth_mechanisms has it"
		case a.external():
			return why, "rabbitmqctl add_user, with the name that the broker reads in the client certificate (ssl_cert_login_from), then set_permissions"
		}
		return why, "set user and password in RELAY_AMQP_URL; or rabbitmqctl add_user " + a.uri.Username
	case amqp091.NotAllowed, amqp091.NotFound:
		user := a.uri.Username
		if a.external() {
			user = "USER"
		}
		return fmt.Sprintf("the vhost %q is not there, or not for this user: %s", a.uri.Vhost, errorText(err)),
			fmt.Sprintf("correct the vhost in RELAY_AMQP_URL, or rabbitmqctl add_vhost %s; rabbitmqctl set_permissions -p %[1]s %s '.*' '.*' '.*'", strconv.Quote(a.uri.Vhost), user)
	}
	return "", ""
}

// protocols that a port may speak.
const (
	speaksAMQP = "AMQP without TLS"
	speaksTLS  = "TLS"
	speaksHTTP = "HTTP"
)

// byProtocol explains that the port is another one than the URL takes it for.
func (a address) byProtocol(speaks string) (why, mend string) {
	why = fmt.Sprintf("the port %d speaks %s", a.uri.Port, speaks)
	switch {
	case speaks == speaksHTTP:
		return why, "write the broker's AMQP port in RELAY_AMQP_URL (usually 5672, with TLS 5671); 15672 is for its management"
	case speaks == speaksTLS && a.uri.Scheme == "amqp":
		return why, "write amqps:// instead of amqp:// in RELAY_AMQP_URL"
	case speaks == speaksAMQP && a.uri.Scheme == "amqps":
		return why, "write amqp:// instead of amqps:// in RELAY_AMQP_URL, or the broker's TLS port (usually 5671)"
	}
	return "", ""
}

// probeLimit bounds each question to a port.
const probeLimit = 2 * time.Second

// protocol finds out what a port speaks: by the first bytes that it has sent, and if it has sent
// none and taken the connection, by asking it. Empty means that it cannot be told.
func (a address) protocol(ctx context.Context, err error, socket *socket) string {
	var record tls.RecordHeaderError
	first := ""
	if came := socket.first.Load(); came != nil {
		first = *came
	}
	if errors.As(err, &record) {
		first = string(record.RecordHeader[:])
	}
	switch {
	case strings.HasPrefix(first, "AMQP"):
		return speaksAMQP
	case strings.HasPrefix(first, "HTTP"):
		return speaksHTTP
	case strings.HasPrefix(first, "\x15\x03"): // an alert
		return speaksTLS
	case first != "" || socket.Conn == nil:
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 2*probeLimit)
	defer cancel()
	return a.ask(ctx)
}

// ask begins a TLS handshake and then an HTTP request. Nothing secret is sent, and nothing that
// the port answers is believed but its form.
func (a address) ask(ctx context.Context) string {
	dialer := net.Dialer{Timeout: probeLimit}
	conn, err := dialer.DialContext(ctx, "tcp", a.hostPort())
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(probeLimit)) // without it ctx ends the handshake
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: a.uri.Host, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx)
	if err == nil || errors.As(err, new(tls.AlertError)) {
		return speaksTLS
	}
	plain, err := dialer.DialContext(ctx, "tcp", a.hostPort())
	if err != nil {
		return ""
	}
	defer plain.Close()
	_ = plain.SetDeadline(time.Now().Add(probeLimit))
	if _, err := plain.Write([]byte("HEAD / HTTP/1.0\r\n\r\n")); err != nil {
		return ""
	}
	answer := make([]byte, 4)
	if n, _ := plain.Read(answer); string(answer[:n]) == "HTTP" {
		return speaksHTTP
	}
	return ""
}
