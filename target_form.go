package relay

import (
	"net"
	"net/url"
	"strings"
)

// form is what depends on the kind of a target, and nothing else of this package does. A kind
// without an entry in forms shows itself in TestEveryKindHasAForm.
type form struct {
	// origin names what connections to the target share.
	origin func(Target) string
	// lane names what a row's own target shares its place among the attempts under way with,
	// and circuit that for which answers count.
	lane, circuit func(Target) string
	// shown is the target without what may be secret.
	shown func(Target) string
	// spreads says that the relay itself finds the instances of a broadcast: the addresses of a
	// host name. Else each instance takes its copy by a queue of its own.
	spreads bool
}

var forms = map[TargetKind]form{
	TargetHTTP:     {origin: httpOrigin, lane: httpOrigin, circuit: httpCircuit, shown: shownURL, spreads: true},
	TargetExchange: {origin: brokerOrigin, lane: entity, circuit: entity, shown: rawTarget},
	TargetQueue:    {origin: brokerOrigin, lane: entity, circuit: entity, shown: rawTarget},
	// A subscription's name is replaced by the subscription before anything is sent.
	TargetSubscription: {origin: rawTarget, lane: rawTarget, circuit: rawTarget, shown: rawTarget},
	TargetNone:         {origin: rawTarget, lane: rawTarget, circuit: rawTarget, shown: rawTarget},
}

// Scheme is what stands before the first colon of the target, in lower case: by it the technology
// is found. Empty means that the target is a subscription's name, or no target at all.
func (t Target) Scheme() string {
	scheme, _, found := strings.Cut(t.Raw, ":")
	if !found {
		return ""
	}
	return strings.ToLower(scheme)
}

// Origin names what connections to the target share: of a URL the scheme, host and port, which
// is always written; CircuitBroker for every exchange and queue.
func (t Target) Origin() string { return forms[t.Kind].origin(t) }

// Spreads reports whether the relay itself finds the instances of a broadcast to the target.
func (t Target) Spreads() bool { return forms[t.Kind].spreads }

// Redacted returns the target without user, password and query, and with the beginning of
// long segments of its path alone, fit for logs and errors. AMQP targets hold no secret.
func (t Target) Redacted() string { return forms[t.Kind].shown(t) }

func rawTarget(t Target) string { return t.Raw }

func httpOrigin(t Target) string { return t.origin }

func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Scheme) + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func brokerOrigin(Target) string { return CircuitBroker }
