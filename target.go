package relay

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// TargetKind tells the technologies of a target apart.
type TargetKind int

// The kinds of target. The zero value is no target.
const (
	TargetNone TargetKind = iota
	TargetHTTP
	TargetExchange     // amqp:<exchange>/<routing key>
	TargetQueue        // amqp:/<queue>
	TargetSubscription // a subscription's name, in outbox.destination only
)

// MaxShortString is the largest length in bytes of an AMQP 0-9-1 short string:
// routing keys, types, exchange and queue names.
const MaxShortString = 255

// MaxURL is the largest length of an HTTP target in bytes: what RFC 9110, section 4.1,
// advises everyone to support at least.
const MaxURL = 8000

// Target is a parsed destination: where a message goes, without a message's own values.
type Target struct {
	Kind TargetKind
	// Raw is the text it was parsed from, as stored in relay.delivery.target.
	Raw string
	// URL is set for TargetHTTP alone.
	URL *url.URL
	// Exchange and RoutingKey are set for TargetExchange; an empty RoutingKey means the
	// topic, and {topic} and {key} in it are replaced per message.
	Exchange   string
	RoutingKey string
	// Queue is set for TargetQueue.
	Queue string
	// Subscription is set for TargetSubscription.
	Subscription string
}

// ParseTarget reads a target in the forms of the contract:
//
//	http://… or https://…          POST
//	amqp:<exchange>/<routing key>  a named exchange
//	amqp:/<queue>                  the default exchange and one queue
//
// Anything else that is a plain name is taken for a subscription's. The error says
// what is wrong without repeating a password that may stand in the text.
func ParseTarget(s string) (Target, error) {
	switch {
	case s == "":
		return Target{}, errors.New("empty target")
	case strings.ContainsAny(s, "\r\n\x00"):
		return Target{}, errors.New("target holds a control character")
	case hasScheme(s, "http://"), hasScheme(s, "https://"):
		return parseHTTPTarget(s)
	case strings.HasPrefix(s, "amqp:"):
		return parseAMQPTarget(s)
	case strings.ContainsAny(s, ":/ \t"):
		return Target{}, errors.New("target is none of http://…, https://…, amqp:<exchange>/<routing key>, amqp:/<queue>, a subscription's name")
	case len(s) > MaxShortString:
		return Target{}, fmt.Errorf("subscription name of %d bytes, at most %d are allowed", len(s), MaxShortString)
	}
	return Target{Kind: TargetSubscription, Raw: s, Subscription: s}, nil
}

func hasScheme(s, scheme string) bool {
	return len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme)
}

func parseHTTPTarget(s string) (Target, error) {
	if len(s) > MaxURL {
		return Target{}, fmt.Errorf("URL of %d bytes, at most %d are allowed", len(s), MaxURL)
	}
	u, err := url.Parse(s)
	if err != nil {
		// url.Error repeats the whole text, and what it wraps quotes the part in question,
		// which may be a password with a stray slash or percent sign.
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		text, _, _ := strings.Cut(err.Error(), `"`)
		return Target{}, fmt.Errorf("malformed URL: %s", strings.TrimRight(text, " :("))
	}
	if u.Hostname() == "" {
		return Target{}, errors.New("malformed URL: no host")
	}
	if len(u.Hostname()) > MaxShortString {
		return Target{}, fmt.Errorf("malformed URL: a host name of %d bytes, at most %d are allowed", len(u.Hostname()), MaxShortString)
	}
	if u.Fragment != "" {
		return Target{}, errors.New("malformed URL: a fragment is never sent")
	}
	if p := u.Port(); p != "" {
		if _, err := net.LookupPort("tcp", p); err != nil {
			return Target{}, errors.New("malformed URL: bad port")
		}
	}
	return Target{Kind: TargetHTTP, Raw: s, URL: u}, nil
}

func parseAMQPTarget(s string) (Target, error) {
	exchange, rest, found := strings.Cut(strings.TrimPrefix(s, "amqp:"), "/")
	if strings.HasPrefix(rest, "/") && exchange == "" {
		// Taken for a queue's name, a broker's URL would show its password wherever targets are shown.
		return Target{}, errors.New("malformed AMQP target: a broker's URL belongs in RELAY_AMQP_URL; write amqp:<exchange>/<routing key> or amqp:/<queue>")
	}
	if !found {
		return Target{}, errors.New("malformed AMQP target: no slash; write amqp:<exchange>/<routing key> or amqp:/<queue>")
	}
	if len(exchange) > MaxShortString || len(rest) > MaxShortString {
		return Target{}, fmt.Errorf("malformed AMQP target: a name is longer than %d bytes", MaxShortString)
	}
	if exchange != "" {
		return Target{Kind: TargetExchange, Raw: s, Exchange: exchange, RoutingKey: rest}, nil
	}
	if rest == "" {
		return Target{}, errors.New("malformed AMQP target: neither exchange nor queue")
	}
	return Target{Kind: TargetQueue, Raw: s, Queue: rest}, nil
}

// RoutingKeyFor returns the AMQP routing key of m at this target: the queue's name, or
// the routing key with {topic} and {key} replaced, or the topic where that leaves none.
func (t Target) RoutingKeyFor(m *Message) string {
	if t.Kind == TargetQueue {
		return t.Queue
	}
	key := t.RoutingKey
	if strings.Contains(key, "{") {
		key = strings.NewReplacer("{topic}", m.Topic, "{key}", m.Key).Replace(key)
	}
	return cmp.Or(key, m.Topic)
}

// Origin is the origin of an HTTP target (RFC 6454: scheme, host, port), or CircuitBroker for
// every AMQP target.
func (t Target) Origin() string {
	if t.Kind != TargetHTTP {
		return CircuitBroker
	}
	port := t.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(t.URL.Scheme)]
	}
	return strings.ToLower(t.URL.Scheme) + "://" + net.JoinHostPort(strings.ToLower(t.URL.Hostname()), port)
}

// maxInstance is the largest length of an instance in bytes: together with a message's
// key it has to fit into one entry of an index, for which PostgreSQL has 2704 bytes.
const maxInstance = 1024

// Instance names the target where deliveries to different targets are told apart: its text,
// of which a long one keeps the beginning and a digest of all.
func (t Target) Instance() string { return abridged(t.Raw, maxInstance) }

// abridged returns text, of which more than so many bytes keep the beginning and a digest of
// all.
func abridged(text string, most int) string {
	if len(text) <= most {
		return text
	}
	digest := fmt.Sprintf("…%x", sha256.Sum256([]byte(text)))
	return strings.ToValidUTF8(text[:most-len(digest)], "") + digest
}

// Redacted returns the target without user, password and query, fit for logs and errors.
func (t Target) Redacted() string {
	if t.Kind != TargetHTTP {
		return t.Raw
	}
	u := *t.URL
	u.User = nil
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.String()
}
