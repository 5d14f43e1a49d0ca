package webhook

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"relay"
)

// userAgent names the sender. It omits the version, which receivers need not know.
const userAgent = "relay"

// requestHeader builds the header of one attempt: the subscriber's own headers, those of the
// row that are none of these, then what the relay itself says, so that neither can forge
// it. Its error is a relay.Rejection: no request can carry the message's values.
func requestHeader(d *relay.Delivery, keys [][]byte, now time.Time) (http.Header, error) {
	m := d.Message
	headers := relay.MergeHeaders(ownHeaders(d.Subscriber), d.Headers)
	h := newFields(ownFields + len(headers))
	for name, value := range headers {
		if !relay.IsBrokerHeader(name) {
			h.set(http.CanonicalHeaderKey(name), headerValue(value))
		}
	}
	if err := setContentType(h, m.ContentType); err != nil {
		return nil, err
	}
	h.set("User-Agent", userAgent)
	h.set("Relay-Attempt", strconv.Itoa(d.Attempt))
	setWebhook(h, m, keys, now)
	setCloudEvent(h, d)
	return h.header, nil
}

// ownFields is the most that the relay itself says, the address for acknowledgements included.
const ownFields = 13

// fields is a header whose values share one piece of memory.
type fields struct {
	header http.Header
	values []string
}

func newFields(n int) *fields {
	return &fields{header: make(http.Header, n), values: make([]string, 0, n)}
}

// set sets the only value of a name, which is in its canonical form.
func (f *fields) set(name, value string) {
	n := len(f.values)
	f.values = append(f.values, value)
	f.header[name] = f.values[n : n+1 : n+1]
}

// setOrDrop is set, but an empty value drops what others have set.
func (f *fields) setOrDrop(name, value string) {
	if value == "" {
		delete(f.header, name)
		return
	}
	f.set(name, value)
}

// ownHeaders returns what the operator has set for a subscriber: its headers and, unless they
// hold one, the authorization by the user and password of its URL, which net/http would let any
// other header replace.
func ownHeaders(s *relay.Subscriber) map[string]string {
	user := s.Target.URL.User
	if user == nil || !s.Trusted {
		return s.Headers
	}
	password, _ := user.Password()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
	return relay.MergeHeaders(s.Headers, map[string]string{"Authorization": basic})
}

// headerValue writes a value as a header can carry it. One of ASCII alone stays as it is. One
// that holds any other character is percent-encoded, as the attributes of CloudEvents are:
// Go takes the bytes for UTF-8, Java, Node and Python for ISO 8859-1, some servers refuse them.
func headerValue(value string) string {
	for i := range len(value) {
		if value[i] >= 0x80 {
			return percentEncode(value)
		}
	}
	return value
}

func setContentType(h *fields, contentType string) error {
	for i := range len(contentType) {
		if c := contentType[i]; c < 0x20 && c != '\t' || c >= 0x7f {
			return relay.Rejection(fmt.Sprintf("content type %q holds a control character, or one outside ASCII", contentType))
		}
	}
	h.setOrDrop("Content-Type", contentType)
	return nil
}

// setWebhook sets the headers of Standard Webhooks 1.0.0. The timestamp is the attempt's,
// so that a receiver's tolerance, five minutes as a rule, also accepts late attempts.
func setWebhook(h *fields, m *relay.Message, keys [][]byte, now time.Time) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	h.set("Webhook-Id", m.ID.String())
	h.set("Webhook-Timestamp", timestamp)
	h.setOrDrop("Webhook-Signature", signature(keys, m.ID, timestamp, m.Body))
}

// setCloudEvent sets the attributes of CloudEvents 1.0 in the binary mode of its HTTP
// binding; datacontenttype is Content-Type itself. A message without a key has no subject.
func setCloudEvent(h *fields, d *relay.Delivery) {
	m := d.Message
	h.set("Ce-Specversion", "1.0")
	h.set("Ce-Id", m.ID.String())
	h.set("Ce-Source", percentEncode(d.Source))
	h.set("Ce-Type", percentEncode(m.Topic))
	h.set("Ce-Time", m.CreatedAt.UTC().Format(time.RFC3339Nano))
	h.setOrDrop("Ce-Subject", percentEncode(m.Key))
}

// percentEncode writes an attribute as section 3.1.3.2 of the CloudEvents HTTP binding
// demands: space, double quote, percent and whatever lies outside printable ASCII become
// the percent-encoded bytes of their UTF-8, in upper-case digits; all else stays.
func percentEncode(s string) string {
	plain := true
	for i := range len(s) {
		plain = plain && isPlain(s[i])
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if isPlain(s[i]) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

func isPlain(c byte) bool {
	return '!' <= c && c <= '~' && c != '"' && c != '%'
}
