package notify

import (
	"errors"
	"fmt"
	"strings"

	"relay"
)

// RowTargets says where rows may send by a destination of their own: RELAY_ROW_DESTINATIONS. Nil
// lets them send to every URL and to what exists at the broker. Whether an address may be dialled
// is another question, which Egress answers. A subscription's name leads only where the operator
// has said, so patterns are not about it; but where rows may name no destination they may name
// none.
type RowTargets struct {
	none     bool
	patterns []RowPattern
}

// RowPattern is one element of the list.
type RowPattern interface {
	// Matches reports whether rows may send a message to a target of the pattern's technology.
	Matches(target relay.Target, m *relay.Message) bool
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
func ParseRowTargets(s string, technologies Technologies) (*RowTargets, error) {
	if s == "" {
		return nil, nil
	}
	elements := strings.FieldsFunc(s, IsSeparator)
	switch {
	case len(elements) == 0:
		return nil, errors.New("it holds no pattern")
	case len(elements) == 1 && elements[0] == "none":
		return &RowTargets{none: true}, nil
	}
	r := &RowTargets{}
	for i, element := range elements {
		pattern, err := technologies.parsePattern(element)
		if err != nil {
			return nil, fmt.Errorf("pattern %d of %d: %w", i+1, len(elements), err)
		}
		r.patterns = append(r.patterns, pattern)
	}
	return r, nil
}

// parsePattern reads one element.
func (t Technologies) parsePattern(element string) (RowPattern, error) {
	scheme, _, _ := strings.Cut(element, ":")
	technology := t.byScheme[strings.ToLower(scheme)]
	switch {
	case element == "none":
		return nil, errors.New("none stands alone")
	case technology == nil || technology.ParsePattern == nil:
		return nil, fmt.Errorf("none of %s stands at its beginning", t.prefixes())
	}
	return technology.ParsePattern(element)
}

// None reports whether rows may name no destination at all.
func (r *RowTargets) None() bool { return r != nil && r.none }

// String lists the patterns, without the paths of URLs. Empty means that rows may send everywhere.
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

// check says why no pattern lets a row send a message to a target that it names itself.
func (r *RowTargets) check(target relay.Target, m *relay.Message) error {
	if r == nil {
		return nil
	}
	for _, pattern := range r.patterns {
		if pattern.Matches(target, m) {
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

// IsSeparator separates the elements of lists in variables: commas and white space.
func IsSeparator(r rune) bool {
	return r == ',' || r == ' ' || r == '\t' || r == '\r' || r == '\n'
}
