package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"relay/notify"
	"strings"
	"time"

	"relay"
)

// failure is an attempt that ended without an answer.
type failure struct {
	target   relay.Target
	parent   context.Context // ended: the relay stops
	attempt  context.Context // ended as well: the total deadline has passed
	timeout  time.Duration
	progress *progress
	err      error
	lack     relay.Resource // of the relay's own: notify.LackOf(err)
}

// outcome classifies the failure: push_failed, except where the address is forbidden for
// ever, where the relay itself broke off, and where it lacked what an attempt needs.
func (f failure) outcome() relay.Outcome {
	out := relay.Outcome{Class: relay.ClassPushFailed, Blame: f.blame(), Cause: f.cause(), Error: fmt.Sprintf("POST %s: %s", f.target.Redacted(), f.explain())}
	var denied *egressError
	switch {
	case f.progress.withheld.Load() && !f.progress.connected.Load():
		return relay.Outcome{Class: relay.ClassParked}
	case f.progress.withheld.Load():
		out.Class = relay.ClassUnknown
	case errors.As(f.err, &denied):
		if denied.metadata {
			out.Class, out.Push = relay.ClassDead, true
		}
	case f.lack != relay.ResourceNone:
		return notify.Lacking(f.lack, f.progress.connected.Load(), out.Error)
	case f.parent.Err() != nil && f.progress.connected.Load():
		out.Class = relay.ClassUnknown
	}
	return out
}

// blame says for which circuit the failure counts.
func (f failure) blame() relay.Blame {
	var denied *egressError
	switch {
	case !f.progress.asked.Load(), errors.As(f.err, &denied), errors.Is(f.err, errHostName), f.parent.Err() != nil:
		return relay.BlameNone
	case f.progress.connected.Load():
		return relay.BlameTarget
	}
	return relay.BlameOrigin
}

// cause is the class of what explain says in words.
func (f failure) cause() relay.Cause {
	var denied *egressError
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(f.err, &denied):
		return relay.CauseEgress
	case errors.Is(f.err, errHostName), errors.As(f.err, &dns):
		return relay.CauseDNS
	case f.attempt.Err() != nil || isTimeout(f.err):
		return relay.CauseTimeout
	case errors.Is(f.err, connRefused):
		return relay.CauseRefused
	case errors.As(f.err, &certificate), errors.As(f.err, &record), errors.As(f.err, &alert), strings.Contains(f.err.Error(), "HTTP response to HTTPS client"):
		return relay.CauseTLS
	case f.progress.answered.Load() && !closedByPeer(f.err):
		return relay.CauseProtocol
	case closedByPeer(f.err), f.progress.connected.Load():
		return relay.CauseReset
	}
	return relay.CauseUnreachable
}

// explain says in words what happened. The texts of url.Error, which holds the whole URL,
// and whatever quotes the peer, which may echo the request, are left out.
func (f failure) explain() string {
	var denied *egressError
	var dns *net.DNSError
	var proxy *proxyError
	var wrapped *url.Error
	err := f.err
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	switch {
	case errors.As(err, &denied):
		return denied.Error()
	case errors.Is(err, errHostName):
		return errHostName.Error()
	case errors.As(err, &proxy) && f.lack == relay.ResourceNone:
		return proxy.Error()
	case WantsCertificate(err):
		return "the endpoint accepts no connection without a certificate that it knows: give the relay one for this host by RELAY_HTTP_TLS"
	case f.lack != relay.ResourceNone:
		return notify.ExplainLack(f.lack)
	case f.progress.withheld.Load():
		return "not tried once more, since it was no longer this relay's to send"
	case f.parent.Err() != nil:
		return "broken off because the relay stops"
	case errors.As(err, &dns):
		return fmt.Sprintf("the host name %s does not resolve: %s", dns.Name, dns.Err)
	case f.attempt.Err() != nil || isTimeout(err):
		return f.explainTimeout()
	case errors.Is(err, connRefused):
		return "connection refused: nothing listens there"
	case f.progress.answered.Load() && !closedByPeer(err):
		return fmt.Sprintf("the answer is not HTTP, or its header is longer than %d KB", maxAnswerHeader>>10)
	case f.progress.connected.Load() && closedByPeer(err):
		return "the connection was closed before the whole answer came; the message may have arrived"
	}
	return explainConnect(err)
}

func (f failure) explainTimeout() string {
	if f.progress.connected.Load() {
		return fmt.Sprintf("no answer within %v; the message may have arrived", f.timeout)
	}
	return fmt.Sprintf("no connection within %v; the host may be down, or a firewall drops packets", f.timeout)
}

// explainConnect is for errors of the network and of TLS. Quoted text is cut off: it is
// the peer's.
func explainConnect(err error) string {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &certificate):
		return fmt.Sprintf("the certificate is not trusted: %v", certificate.Err)
	case errors.As(err, &record), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return "no TLS is spoken there; the URL may have to begin with http://"
	case closedByPeer(err):
		return "the connection was closed before a request could be sent"
	}
	text, _, _ := strings.Cut(err.Error(), `"`)
	return "the exchange failed: " + strings.TrimRight(text, " :=")
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
