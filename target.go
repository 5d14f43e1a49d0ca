package relay

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// TargetKind tells the technologies of a target apart.
type TargetKind int

// These are the kinds of target. The zero value is no target.
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

// Target is a parsed destination: where a message goes, without a message's own values.
type Target struct {
	Kind TargetKind
	// Raw is the text it was parsed from without the spaces around it, as stored in
	// relay.delivery.target.
	Raw string
	// URL is set for TargetHTTP alone, in the form in which it is sent and compared: see parseURL.
	URL *url.URL
	// origin is that of a TargetHTTP: it is asked for several times for each message.
	origin string
	// Exchange and RoutingKey are set for TargetExchange; an empty RoutingKey means the
	// topic, and {topic} and {key} in it are replaced per message. A queue has no placeholders.
	Exchange   string
	RoutingKey string
	// Queue is set for TargetQueue.
	Queue string
	// Subscription is set for TargetSubscription.
	Subscription string
}

// ParseSubscriptionTarget reads the target of a subscription, which cannot lead to another one.
func ParseSubscriptionTarget(text string) (Target, error) {
	target, err := ParseTarget(text)
	switch {
	case err != nil:
		return target, fmt.Errorf("target: %w", err)
	case target.Kind == TargetSubscription:
		return target, errors.New("target: a subscription cannot lead to another one")
	}
	return target, nil
}

// ParseTarget reads a target in the forms of the contract, whatever spaces and control
// characters stand around it:
//
//	http://… or https://…          POST
//	amqp:<exchange>/<routing key>  a named exchange
//	amqp:/<queue>                  the default exchange and one queue
//
// Anything else that is a plain name is taken for a subscription's. The error says
// what is wrong without repeating a password that may stand in the text.
func ParseTarget(text string) (Target, error) {
	t, err := readTarget(text)
	if err == nil {
		err = t.checkNames()
	}
	if err != nil {
		return Target{}, err
	}
	return t, nil
}

// checkNames refuses what looks like a part that is replaced, or like parameters, where nothing is
// replaced and nothing has parameters: taken for a part of the name, it would make a queue of that
// name, in which messages stay.
func (t Target) checkNames() error {
	switch {
	case strings.ContainsAny(t.Queue, "{}"):
		return errors.New("malformed AMQP target: a queue has no placeholders, since it is declared; write amqp:<exchange>/{topic}, and bind queues to the exchange")
	case strings.Contains(t.Queue, "?"):
		return errors.New("malformed AMQP target: a queue takes no query; declare it beforehand with the arguments that it needs, and write amqp:/<queue>")
	case strings.ContainsAny(t.Exchange, "{}?"):
		return errors.New("malformed AMQP target: an exchange has neither placeholders nor a query; {topic} and {key} may stand in the routing key")
	}
	return nil
}

// readTarget is ParseTarget without checkNames: what it reads can be shown.
func readTarget(text string) (Target, error) {
	s := strings.TrimFunc(text, isMargin)
	switch {
	case s == "":
		return Target{}, errors.New("empty target")
	case hasScheme(s, "http://"), hasScheme(s, "https://"):
		return parseHTTPTarget(s)
	case strings.ContainsFunc(s, isUnprintable):
		return Target{}, errors.New("target holds a control character, or another one that cannot be printed")
	case strings.HasPrefix(s, "amqp:"):
		return parseAMQPTarget(s)
	case strings.ContainsAny(s, ":/ "):
		return Target{}, errors.New("target is none of http://…, https://…, amqp:<exchange>/<routing key>, amqp:/<queue>, a subscription's name")
	case len(s) > MaxShortString:
		return Target{}, fmt.Errorf("subscription name of %d bytes, at most %d are allowed", len(s), MaxShortString)
	}
	return Target{Kind: TargetSubscription, Raw: s, Subscription: s}, nil
}

// isMargin reports whether a character is cut off at both ends of a target: a space or control
// character of ASCII, such as the line feed at the end of a file.
func isMargin(r rune) bool { return r <= ' ' || r == 0x7f }

// isUnprintable reports whether a character may stand in no target: control characters, white
// space other than the space itself, marks that change the direction of writing, bytes that
// are no UTF-8.
func isUnprintable(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }

func hasScheme(s, scheme string) bool {
	return len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme)
}

func parseHTTPTarget(s string) (Target, error) {
	u, err := parseURL(s)
	if err != nil {
		return Target{}, err
	}
	return Target{Kind: TargetHTTP, Raw: s, URL: u, origin: originOf(u)}, nil
}

func parseAMQPTarget(s string) (Target, error) {
	exchange, rest, found := strings.Cut(strings.TrimPrefix(s, "amqp:"), "/")
	if strings.HasPrefix(rest, "/") && exchange == "" || isCredentials(exchange) {
		// Taken for a name, a broker's URL would show its password wherever targets are shown.
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

// isCredentials reports whether a name looks like the user, password and host of a URL.
func isCredentials(name string) bool {
	_, rest, found := strings.Cut(name, ":")
	return found && strings.Contains(rest, "@")
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

// maxInstance is the largest length of an instance in bytes: together with a message's
// key it has to fit into one entry of an index, for which PostgreSQL has 2704 bytes.
const maxInstance = 1024

// Instance names the target where deliveries to different targets are told apart. It is the
// target's text; a long text is replaced by its beginning and a digest of the whole.
func (t Target) Instance() string { return abridged(t.Raw, maxInstance) }

// abridged returns text as it is up to the given number of bytes, otherwise its beginning and a
// digest of the whole.
func abridged(text string, most int) string {
	if len(text) <= most {
		return text
	}
	digest := fmt.Sprintf("…%x", sha256.Sum256([]byte(text)))
	return strings.ToValidUTF8(text[:most-len(digest)], "") + digest
}
