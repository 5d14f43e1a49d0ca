package relay

import (
	"strings"
	"testing"
)

func TestBrokerHeaders(t *testing.T) {
	t.Parallel()
	headers, err := ParseHeaders([]byte(`{"amqp-priority": "9", "AMQP_Expiration": "060000", "amqp-x-delay": "2147483647", "tenant": "a"}`))
	if err != nil {
		t.Fatal(err)
	}
	p := BrokerPropertiesOf(headers)
	if p.Priority == nil || *p.Priority != 9 || p.Expiration == nil || *p.Expiration != 60000 || p.Delay == nil || *p.Delay != 2147483647 {
		t.Errorf("%v", p)
	}
	if p := BrokerPropertiesOf(map[string]string{"priority": "1"}); p != (BrokerProperties{}) {
		t.Errorf("%v of no such header", p)
	}
	for name := range headers {
		if IsBrokerHeader(name) == (name == "tenant") {
			t.Errorf("%s is taken for what it is not", name)
		}
	}
	for raw, says := range map[string]string{
		`{"amqp-priority": "256"}`:          "a whole number from 0 to 255",
		`{"amqp-priority": "-1"}`:           "a whole number from 0 to 255",
		`{"amqp-priority": "high"}`:         "a whole number from 0 to 255",
		`{"amqp-priority": ""}`:             "a whole number from 0 to 255",
		`{"amqp-priority": 5}`:              "not a string",
		`{"amqp-expiration": "1s"}`:         "a whole number from 0 to 4294967295",
		`{"amqp-expiration": "4294967296"}`: "a whole number from 0 to 4294967295",
		`{"amqp-x-delay": "1.5"}`:           "a whole number from 0 to 2147483647",
		`{"amqp-x-delay": "2147483648"}`:    "a whole number from 0 to 2147483647",
		`{"amqp-x-delay": " 1"}`:            "a whole number from 0 to 2147483647",
		`{"amqp-prio": "1"}`:                "there are amqp-priority, amqp-expiration and amqp-x-delay",
	} {
		if _, err := ParseHeaders([]byte(raw)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error that says %q", raw, err, says)
		}
	}
}
