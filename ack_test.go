package relay

import (
	"errors"
	"strings"
	"testing"
)

var testAckKey = AckKey("0123456789abcdef0123456789abcdef")

func TestATokenNamesItsAttemptAndNothingElseDoes(t *testing.T) {
	t.Parallel()
	s := AckSubject{Message: NewID(), Subscriber: AckSubscriberOf("sub", "10.0.0.1:80"), Attempt: 7}
	token := testAckKey.Token(s)
	if len(token) > MaxShortString {
		t.Errorf("a token of %d bytes does not fit into a correlation id", len(token))
	}
	if got, err := testAckKey.Open(token); err != nil || got != s {
		t.Fatalf("opened %+v, %v, want %+v", got, err, s)
	}
	if _, err := AckKey("another key").Open(token); !errors.Is(err, ErrAckForged) {
		t.Errorf("with another key: %v", err)
	}
	if _, err := AckKey(nil).Open(AckKey(nil).Token(s)); !errors.Is(err, ErrAckForged) {
		t.Errorf("without a key: %v", err)
	}
	for i := range len(token) {
		changed := []byte(token)
		changed[i] = map[bool]byte{true: 'B', false: 'A'}[token[i] == 'A']
		if got, err := testAckKey.Open(string(changed)); err == nil {
			t.Errorf("changed at %d it opens as %+v", i, got)
		}
	}
	if AckSubscriberOf("a", "bc") == AckSubscriberOf("ab", "c") {
		t.Error("two subscribers have one name")
	}
}

func TestParseAck(t *testing.T) {
	t.Parallel()
	rows := map[string]Ack{
		`{"outcome":"handled"}`:                            {Handled: true},
		` {"outcome":"handled","error":"x","more":[1]}`:    {Handled: true},
		`{"outcome":"failed"}`:                             {Retry: true},
		`{"outcome":"failed","error":"why","retry":true}`:  {Retry: true, Error: "why"},
		`{"outcome":"failed","error":"a\u0000b"}`:          {Retry: true, Error: "ab"},
		`{"outcome":"failed","error":null,"retry":null}`:   {Retry: true},
		`{"outcome":"failed","error":"why","retry":false}`: {Error: "why"},
		`{"outcome":"failed","error":"` + long("ü") + `"}`: {Retry: true, Error: strings.Repeat("ü", MaxAckError/2)},
	}
	for body, want := range rows {
		if got, err := ParseAck([]byte(body)); err != nil || got != want {
			t.Errorf("ParseAck(%.80s) = %+v, %v, want %+v", body, got, err, want)
		}
	}
	for _, body := range []string{
		``, `null`, `[]`, `7`, `handled`, `"handled"`, `{}`, `{"outcome":"Handled"}`, `{"outcome":1}`, `{"outcome":"handled"`,
		`{"outcome":"handled"} {}`, `{"outcome":"failed","retry":"no"}`, `{"outcome":"failed","error":7}`,
		`{"outcome":"handled","error":"` + strings.Repeat("x", MaxAckBody) + `"}`,
	} {
		if got, err := ParseAck([]byte(body)); err == nil || strings.Contains(err.Error(), "x") && len(body) > 100 {
			t.Errorf("ParseAck(%.80s) = %+v, %v", body, got, err)
		}
	}
}

func long(s string) string { return strings.Repeat(s, MaxAckError) }

// Whatever bytes come as a token, only what Token made opens.
func FuzzAckToken(f *testing.F) {
	s := AckSubject{Message: ID{1}, Subscriber: AckSubscriberOf("sub", ""), Attempt: 1}
	good := testAckKey.Token(s)
	for _, seed := range []string{"", "x", good, good + "=", good[:len(good)-1], strings.ToLower(good), strings.Repeat("A", len(good)), strings.Repeat("é", len(good)/2)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		subject, err := testAckKey.Open(token)
		switch {
		case err != nil && subject != AckSubject{}:
			t.Errorf("%q is refused, and yet it is %+v", token, subject)
		case err == nil && testAckKey.Token(subject) != token:
			t.Errorf("%q opens as %+v, whose token is another", token, subject)
		}
	})
}

// What is read as an acknowledgement can be stored.
func FuzzParseAck(f *testing.F) {
	for _, seed := range []string{`{"outcome":"handled"}`, `{"outcome":"failed","error":"\ud800\u0000","retry":false}`, `[]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := ParseAck(body)
		if err == nil && (len(a.Error) > MaxAckError || strings.ToValidUTF8(a.Error, "") != a.Error || strings.Contains(a.Error, "\x00") || a.Handled && a != Ack{Handled: true}) {
			t.Errorf("ParseAck(%q) = %+v", body, a)
		}
	})
}
