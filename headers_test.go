package relay

import (
	"errors"
	"maps"
	"strings"
	"testing"
)

func TestParseHeaders(t *testing.T) {
	t.Parallel()
	rows := map[string]map[string]string{
		``:                                 nil,
		`{}`:                               nil,
		` { } `:                            {},
		`{"x-tenant": "acme"}`:             {"x-tenant": "acme"},
		`{"X-Mixed": "a\tb", "empty": ""}`: {"X-Mixed": "a\tb", "empty": ""},
		`{"x": "größe 😀"}`:                 {"x": "größe 😀"},
		`{"!#$%&'*+-.^_` + "`" + `|~09azAZ": "every token character"}`:           {"!#$%&'*+-.^_`|~09azAZ": "every token character"},
		`{"authorization": "Bearer x", "traceparent": "00-1-2-01"}`:              {"authorization": "Bearer x", "traceparent": "00-1-2-01"},
		`{"relayed": "yes", "webhook": "1", "ce": "2", "contents-type": "3"}`:    {"relayed": "yes", "webhook": "1", "ce": "2", "contents-type": "3"},
		`{"` + strings.Repeat("n", 255) + `": "` + strings.Repeat("v", 9) + `"}`: {strings.Repeat("n", 255): strings.Repeat("v", 9)},
	}
	for raw, want := range rows {
		if got, err := ParseHeaders([]byte(raw)); err != nil || !maps.Equal(got, want) {
			t.Errorf("ParseHeaders(%s) = %v, %v, want %v", raw, got, err, want)
		}
	}
}

func TestParseHeadersRejects(t *testing.T) {
	t.Parallel()
	rows := map[string]string{ // row: what the reason says
		`[]`:                         "not an object",
		`"x"`:                        "not an object",
		`null`:                       "not an object",
		`7`:                          "not an object",
		` `:                          "not an object",
		`{"x": `:                     "not an object",
		`{"x": 1}`:                   `"x": its value is not a string`,
		`{"x": null}`:                `"x": its value is not a string`,
		`{"x": ["a"]}`:               `"x": its value is not a string`,
		`{"x": {"a": "b"}}`:          `"x": its value is not a string`,
		`{"x": true}`:                `"x": its value is not a string`,
		`{"": "a"}`:                  "an empty name",
		`{"a b": "c"}`:               `"a b": the name is not a token`,
		`{"a:": "c"}`:                `"a:": the name is not a token`,
		`{"größe": "c"}`:             `"größe": the name is not a token`,
		`{"a\r\nb": "c"}`:            `"a\r\nb": the name is not a token`,
		`{"a\u0000": "c"}`:           `"a\x00": the name is not a token`,
		`{"x": "a\r\nx-evil: 1"}`:    `"x": the value holds CR, LF or NUL`,
		`{"x": "a\nb"}`:              `"x": the value holds CR, LF or NUL`,
		`{"x": "a\u0000b"}`:          `"x": the value holds CR, LF or NUL`,
		`{"x": "a\u0001b"}`:          `"x": the value holds a control character`,
		`{"x": "a\u007f"}`:           `"x": the value holds a control character`,
		`{"X-A": "1", "x-a": "2"}`:   `"X-A": "x-a" is there too`,
		`{"x_a": "1", "x-a": "2"}`:   `"x-a": "x_a" is there too`,
		`{"X_A": "1", "x.a": "2"}`:   `"X_A": "x.a" is there too`,
		`{"webhook_id": "a"}`:        "reserved",
		`{"Ce_Type": "a"}`:           "reserved",
		`{"ce.id": "a"}`:             "reserved",
		`{"CONTENT_TYPE": "a"}`:      "reserved",
		`{"content_Length": "1"}`:    "reserved",
		`{"transfer_encoding": "a"}`: "reserved",
		`{"RELAY_ATTEMPT": "1"}`:     "reserved",
		`{"cloudEvents-id": "1"}`:    "reserved",
		`{"user_agent": "a"}`:        "reserved",
		`{"Proxy": "http://evil/"}`:  "reserved",
		`{"Content-Type": "a"}`:      `"Content-Type": the name is reserved`,
		`{"content-length": "1"}`:    "reserved",
		`{"Transfer-Encoding": "a"}`: "reserved",
		`{"HOST": "a"}`:              "reserved",
		`{"Connection": "close"}`:    "reserved",
		`{"webhook-id": "a"}`:        "reserved",
		`{"Webhook-Signature": "a"}`: "reserved",
		`{"ce-id": "a"}`:             "reserved",
		`{"CE-anything": "a"}`:       "reserved",
		`{"cloudEvents_id": "a"}`:    "reserved",
		`{"relay-attempt": "1"}`:     "reserved",
		`{"Relay-Ack-Url": "a"}`:     "reserved",
		`{"user-agent": "a"}`:        "reserved",
		`{"` + strings.Repeat("n", 256) + `": "v"}`: "a name of 256 bytes",
	}
	for raw, says := range rows {
		got, err := ParseHeaders([]byte(raw))
		if !errors.Is(err, ErrRejected) || got != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("ParseHeaders(%s) = %v, %v, want a rejection that says %q", raw, got, err, says)
		}
	}
}

// A header's value may be a credential, and every reader of the table sees the reason.
func TestParseHeadersRepeatsNoValue(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{`{"x": "hunter2\n"}`, `{"x": "hunter2\u0001"}`, `{"ce-id": "hunter2"}`, `{"a b": "hunter2"}`, `{"x": ["hunter2"]}`, `{"x": "hunter2"`} {
		if _, err := ParseHeaders([]byte(raw)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("ParseHeaders(%s): %v", raw, err)
		}
	}
}

// What the operator has set stays, however a row spells the name.
func TestMergeHeaders(t *testing.T) {
	t.Parallel()
	own := map[string]string{"Authorization": "operator", "x-api-key": "operator"}
	row := map[string]string{"authorization": "row", "X_Api_Key": "row", "x-tenant": "row"}
	want := map[string]string{"Authorization": "operator", "x-api-key": "operator", "x-tenant": "row"}
	if got := MergeHeaders(own, row); !maps.Equal(got, want) {
		t.Errorf("merged %v, want %v", got, want)
	}
	if got := MergeHeaders(nil, row); !maps.Equal(got, row) {
		t.Errorf("merged %v, want %v", got, row)
	}
}
