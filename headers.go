package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// reservedPrefixes begin the header names that the relay itself sets, as FoldHeader writes them.
var reservedPrefixes = []string{"webhook-", "ce-", "cloudevents-", "relay-"}

// HeaderOriginalID is the header by which a copy of a message names the one that was copied first. It stands in
// the copy's row, unlike the other headers of the relay.
const HeaderOriginalID = "relay-original-id"

// reservedNames are headers that the relay, or HTTP's own framing (RFC 9110, RFC 9112),
// decides, as FoldHeader writes them; CGI programs would take "proxy" for HTTP_PROXY. AMQP
// messages obey the same list, so that a row means the same wherever it goes.
var reservedNames = map[string]bool{
	"content-type": true, "content-length": true, "content-encoding": true,
	"transfer-encoding": true, "connection": true, "keep-alive": true,
	"proxy-connection": true, "proxy-authorization": true, "te": true, "trailer": true,
	"upgrade": true, "http2-settings": true, "host": true, "expect": true, "user-agent": true,
	"proxy": true,
}

// FoldHeader returns a header's name in the form in which names are compared: letters in lower
// case, and a hyphen for every other character that is no digit. Receivers behind CGI, WSGI and
// the like see names as variables, and X-A, x_a and x.a are the same variable.
func FoldHeader(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, name)
}

// MergeHeaders returns the headers that are sent along with a message: the subscriber's own,
// and those of the row that are none of these by their folded names, so that no row can
// replace what the operator has set.
func MergeHeaders(own, row map[string]string) map[string]string {
	if len(own) == 0 {
		return row
	}
	merged := make(map[string]string, len(own)+len(row))
	taken := make(map[string]bool, len(own))
	for name, value := range own {
		merged[name] = value
		taken[FoldHeader(name)] = true
	}
	for name, value := range row {
		if !taken[FoldHeader(name)] {
			merged[name] = value
		}
	}
	return merged
}

// ParseHeaders reads a row's headers, an object of strings, and judges each name and
// value. Its error is a Rejection: the message cannot be sent as it is.
func ParseHeaders(raw []byte) (map[string]string, error) {
	if len(raw) == 0 || string(raw) == "{}" {
		return nil, nil
	}
	if trimmed := bytes.TrimSpace(raw); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, Rejection("headers: not an object of strings")
	}
	var loose map[string]any
	if err := json.Unmarshal(raw, &loose); err != nil {
		return nil, Rejection("headers: not an object of strings")
	}
	seen := make(map[string]string, len(loose))
	headers := make(map[string]string, len(loose))
	for _, name := range slices.Sorted(maps.Keys(loose)) {
		v := loose[name]
		value, ok := v.(string)
		if !ok {
			return nil, Rejection(fmt.Sprintf("header %q: its value is not a string", name))
		}
		if err := checkHeader(name, value); err != nil {
			return nil, err
		}
		folded := FoldHeader(name)
		if other, twice := seen[folded]; twice {
			return nil, Rejection(fmt.Sprintf("header %q: %q is there too, and some receivers cannot tell the two apart", other, name))
		}
		seen[folded] = name
		headers[name] = value
	}
	return headers, nil
}

func checkHeader(name, value string) error {
	if name == "" {
		return Rejection("headers: an empty name")
	}
	if len(name) > MaxShortString {
		return Rejection(fmt.Sprintf("headers: a name of %d bytes, at most %d are allowed", len(name), MaxShortString))
	}
	for i := range len(name) {
		if !isToken(name[i]) {
			return Rejection(fmt.Sprintf("header %q: the name is not a token of RFC 9110", name))
		}
	}
	folded := FoldHeader(name)
	reserved := reservedNames[folded]
	for _, p := range reservedPrefixes {
		reserved = reserved || strings.HasPrefix(folded, p) && folded != HeaderOriginalID
	}
	if reserved {
		return Rejection(fmt.Sprintf("header %q: the name is reserved", name))
	}
	if IsBrokerHeader(name) {
		return checkBrokerHeader(name, value)
	}
	if strings.ContainsAny(value, "\r\n\x00") {
		return Rejection(fmt.Sprintf("header %q: the value holds CR, LF or NUL", name))
	}
	for i := range len(value) {
		if c := value[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return Rejection(fmt.Sprintf("header %q: the value holds a control character", name))
		}
	}
	return nil
}

// isToken reports whether c may stand in a header's name (RFC 9110, section 5.6.2).
func isToken(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
