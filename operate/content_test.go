package operate

import (
	"testing"
	"time"

	"relay"
)

func TestContentIsTextOrHexadecimal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		bytes  string
		size   int64
		binary bool
		want   Content
	}{
		{"", 0, false, Content{}},
		{"äö", 4, false, Content{Text: "äö"}},
		{"ä\xc3", 6, false, Content{Text: "ä", More: 4}},
		{"a\xc3", 2, false, Content{Hex: "61c3"}},
		{"ab", 2, true, Content{Hex: "6162"}},
		{"\x00\xff", 9, true, Content{Hex: "00ff", More: 7}},
	} {
		if got := newContent([]byte(tt.bytes), tt.size, tt.binary); *got != tt.want {
			t.Errorf("%q: %+v, want %+v", tt.bytes, *got, tt.want)
		}
	}
}

func TestAMomentIsATimeOrATimeSpanBeforeNow(t *testing.T) {
	t.Parallel()
	var m Moment
	if err := m.UnmarshalText([]byte("2026-01-31T12:00:00+01:00")); err != nil || !m.Equal(time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("%s: %v", m, err)
	}
	for text, want := range map[string]time.Duration{"2h": 2 * time.Hour, "7d": 7 * 24 * time.Hour, "1 day 2 hours": 26 * time.Hour} {
		if err := m.UnmarshalText([]byte(text)); err != nil || time.Since(m.Time).Round(time.Minute) != want {
			t.Errorf("%s: %s: %v", text, m, err)
		}
	}
	for _, bad := range []string{"", "yesterday", "-2h", "2026-01-31"} {
		if err := m.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken for %s", bad, m)
		}
	}
}

func TestCredentialsInHeadersAreHidden(t *testing.T) {
	t.Parallel()
	shown := shownHeaders([]byte(`{"Authorization": "Bearer hunter2", "x-api-key": "hunter2", "X_Auth_Token": "hunter2", "cookie": "hunter2", "relay-key": "k", "a": "b"}`))
	if len(shown) != 6 || shown["a"] != "b" || shown["relay-key"] != "k" {
		t.Errorf("%v", shown)
	}
	for name, value := range shown {
		if value == "hunter2" || value == "Bearer hunter2" {
			t.Errorf("%s is shown", name)
		}
	}
	if shown := shownHeaders([]byte(`["hunter2"]`)); len(shown) != 0 {
		t.Errorf("%v", shown)
	}
}

func TestAHiddenTargetSaysWhy(t *testing.T) {
	t.Parallel()
	for target, hidden := range map[string]bool{
		"https://h/in": false, "amqp:events/order": false, "": false, "10.0.0.1:80": false,
		"https://u:p@h/in": true, "https://h/in?k=1": true, "https://h/0123456789abcdef0": true, "https://%zz": true, "ftp://h": true,
	} {
		if why := whyHidden(target); (why != "") != hidden {
			t.Errorf("%q: %q; it is shown as %q", target, why, relay.ShownTarget(target))
		}
	}
}

func TestPayloadsAreHiddenFromAViewer(t *testing.T) {
	t.Parallel()
	d := MessageDetail{Headers: map[string]string{"a": "b"}, Payload: &Content{Text: "x"}, Attempts: []Attempt{{Response: &Content{Text: "y"}}}}
	d.HidePayloads()
	if !d.PayloadsHidden || d.Payload != nil || len(d.Headers) != 0 || d.Attempts[0].Response != nil {
		t.Errorf("%+v", d)
	}
}
