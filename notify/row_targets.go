package notify

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"relay"
)

// RowTargets says where rows may send by a destination of their own: RELAY_ROW_DESTINATIONS.
// Nil: to every URL and to what exists at the broker. Whether an address may be dialled is
// another question, which Egress answers. A subscription's name leads only where the operator has said,
// so patterns are not about it; but where rows may name no destination they may name none.
type RowTargets struct {
	none     bool
	patterns []rowPattern
}

// rowPattern is one element of the list.
type rowPattern interface {
	matches(target relay.Target, m *relay.Message) bool
	// String is fit for people: a path, which may hold the key of a hook, is left out.
	String() string
}

// ParseRowTargets reads the elements of RELAY_ROW_DESTINATIONS, separated by commas or white
// space. An empty text is nil; the one word none lets rows name no destination. Else each
// element is a pattern:
//
//	https://hooks.example             an origin: scheme, host and port, the scheme's own if none is given
//	https://*.hooks.example:8443      every host below that one
//	https://*:*                       every host; every port
//	https://hooks.example/a/b         the path /a/b and what is below it; /a/b/ means below it alone
//	amqp:events/order.#               an exchange, and routing keys; none: every routing key
//	amqp:/jobs.*                      queues
//
// In the names and routing keys of AMQP, * stands for one word between dots and # for any
// number of them. The error names the place of the bad element in the list.
func ParseRowTargets(s string) (*RowTargets, error) {
	if s == "" {
		return nil, nil
	}
	elements := strings.FieldsFunc(s, isSeparator)
	switch {
	case len(elements) == 0:
		return nil, errors.New("it holds no pattern")
	case len(elements) == 1 && elements[0] == "none":
		return &RowTargets{none: true}, nil
	}
	r := &RowTargets{}
	for i, element := range elements {
		pattern, err := parseRowPattern(element)
		if err != nil {
			return nil, fmt.Errorf("pattern %d of %d: %w", i+1, len(elements), err)
		}
		r.patterns = append(r.patterns, pattern)
	}
	return r, nil
}

func parseRowPattern(element string) (rowPattern, error) {
	switch scheme, _, _ := strings.Cut(element, ":"); {
	case scheme == "amqp":
		return parseAMQPPattern(element)
	case strings.EqualFold(scheme, "http"), strings.EqualFold(scheme, "https"):
		return parseURLPattern(element)
	case element == "none":
		return nil, errors.New("none stands alone")
	}
	return nil, errors.New("none of http://, https:// and amqp: stands at its beginning")
}

// None reports whether rows may name no destination at all.
func (r *RowTargets) None() bool { return r != nil && r.none }

// String lists the patterns, without the paths of URLs. Empty: rows may send everywhere.
func (r *RowTargets) String() string {
	switch {
	case r == nil:
		return ""
	case r.none:
		return "none"
	}
	texts := make([]string, len(r.patterns))
	for i, pattern := range r.patterns {
		texts[i] = pattern.String()
	}
	return strings.Join(texts, ", ")
}

// check says why a row may not send a message to a target that it names itself.
func (r *RowTargets) check(target relay.Target, m *relay.Message) error {
	if err := r.checkAny(); err != nil {
		return err
	}
	if name := target.Exchange + target.Queue; isBrokersOwn(name) {
		return fmt.Errorf("%q is a name that RabbitMQ or the relay keeps for itself, to which rows never send", name)
	}
	if r == nil {
		return nil
	}
	for _, pattern := range r.patterns {
		if pattern.matches(target, m) {
			return nil
		}
	}
	return fmt.Errorf("no pattern of RELAY_ROW_DESTINATIONS lets rows send to %s", target.Redacted())
}

// checkAny says why a row may name no destination at all.
func (r *RowTargets) checkAny() error {
	if r.None() {
		return errors.New("rows may name none, because RELAY_ROW_DESTINATIONS is none")
	}
	return nil
}

// isBrokersOwn reports whether a row must never send to an exchange or a queue of this name:
// those of RabbitMQ itself, its pseudo-queues for direct replies among them, and the queues
// in which relays receive acknowledgements.
func isBrokersOwn(name string) bool {
	return strings.HasPrefix(name, "amq.") || strings.HasPrefix(name, "relay.ack.")
}

// amqpPattern is a pattern for exchanges and routing keys, or for queues.
type amqpPattern struct {
	text      string
	queue     bool
	name, key patterns[bool]
}

func parseAMQPPattern(element string) (rowPattern, error) {
	target, err := relay.ParseTarget(element)
	if err != nil {
		return nil, err
	}
	p := &amqpPattern{text: target.Raw, queue: target.Kind == relay.TargetQueue}
	if target.RoutingKey == "" {
		target.RoutingKey = "#"
	}
	for _, pattern := range []string{target.Exchange + target.Queue, target.RoutingKey} {
		if err := relay.CheckPattern(pattern); err != nil {
			return nil, err
		}
	}
	p.name.add(target.Exchange+target.Queue, true)
	p.key.add(target.RoutingKey, true)
	return p, nil
}

func (p *amqpPattern) String() string { return p.text }

func (p *amqpPattern) matches(target relay.Target, m *relay.Message) bool {
	switch target.Kind {
	case relay.TargetQueue:
		return p.queue && matchesWords(&p.name, target.Queue)
	case relay.TargetExchange:
		return !p.queue && matchesWords(&p.name, target.Exchange) && matchesWords(&p.key, target.RoutingKeyFor(m))
	}
	return false
}

// matchesWords is a match without what patterns.match says of relay.TopicDead.
func matchesWords(p *patterns[bool], text string) bool {
	m := matcher[bool]{words: strings.Split(text, ".")}
	m.walk(&p.root, 0)
	return len(m.found) > 0
}

// urlPattern is a pattern for URLs.
type urlPattern struct {
	text    string // as it was written, without the path
	scheme  string
	host    string // as a URL of that host has it, without the root's dot
	anyHost bool
	below   bool   // the hosts below host, and not host itself
	port    string // empty: the scheme's own
	anyPort bool
	path    []string // decoded segments; none: every path
}

func parseURLPattern(element string) (rowPattern, error) {
	scheme, rest, _ := strings.Cut(element, "://")
	authority, path, hasPath := strings.Cut(rest, "/")
	p := urlPattern{text: scheme + "://" + authority}
	authority, p.anyPort = strings.CutSuffix(authority, ":*")
	authority, p.below = strings.CutPrefix(authority, "*.")
	if port, found := strings.CutPrefix(authority, "*"); found && !p.below && (port == "" || port[0] == ':') {
		p.anyHost, authority = true, "any"+port
	}
	if hasPath {
		path = "/" + path
	}
	target, err := relay.ParseTarget(scheme + "://" + authority + path)
	switch {
	case err != nil:
		return nil, err
	case target.URL.User != nil, target.URL.RawQuery != "", target.URL.ForceQuery:
		return nil, errors.New("a pattern has neither user nor query")
	}
	p.scheme, p.host, p.port = target.URL.Scheme, hostOf(target), target.URL.Port()
	if path := target.URL.EscapedPath(); path != "" && path != "/" {
		p.text += "/…"
		p.path = segmentsOf(path)
	}
	return &p, nil
}

func (p *urlPattern) String() string { return p.text }

func hostOf(target relay.Target) string { return foldHost(target.URL.Hostname()) }

func (p *urlPattern) matches(target relay.Target, _ *relay.Message) bool {
	return target.Kind == relay.TargetHTTP && target.URL.Scheme == p.scheme &&
		(p.anyPort || target.URL.Port() == p.port) &&
		p.matchesHost(hostOf(target)) && p.matchesPath(target.URL.EscapedPath())
}

func (p *urlPattern) matchesHost(host string) bool {
	switch {
	case p.anyHost:
		return true
	case p.below:
		return strings.HasSuffix(host, "."+p.host)
	}
	return host == p.host
}

// matchesPath compares segment by segment. The path is the one that is sent: relay.ParseTarget has
// removed its dot segments.
func (p *urlPattern) matchesPath(path string) bool {
	if len(p.path) == 0 {
		return true
	}
	segments := segmentsOf(path)
	last := len(p.path) - 1
	if len(segments) <= last || isDisguised(path) {
		return false
	}
	for i, segment := range p.path {
		if segments[i] != segment && (i < last || segment != "") {
			return false
		}
	}
	return true
}

// segmentsOf returns the decoded segments of a path that relay.ParseTarget has accepted.
func segmentsOf(path string) []string {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		if decoded, err := url.PathUnescape(segment); err == nil {
			segments[i] = decoded
		}
	}
	return segments
}

var escapedByte = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// maxDecodings is how often a path is decoded to see what it hides.
const maxDecodings = 4

// isDisguised reports whether a path holds dot segments for a receiver that decodes it more
// than once, decodes before it looks for slashes, takes a backslash for one, or cuts
// parameters off (/..;x/). One that is encoded again and again counts as such.
func isDisguised(path string) bool {
	for range maxDecodings {
		for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
				return true
			}
		}
		decoded := escapedByte.ReplaceAllStringFunc(path, func(escaped string) string {
			text, _ := url.PathUnescape(escaped) // it is a percent sign and two digits
			return text
		})
		if decoded == path {
			return false
		}
		path = decoded
	}
	return true
}
