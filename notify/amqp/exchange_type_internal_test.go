package amqp

import (
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// AskExchangeType is for tests against a real broker.
var AskExchangeType = askExchangeType

func TestTypeInRefusal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received 'direct' but current is ''x-recent-history''":                                         "x-recent-history",
		"PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'current is topic' in vhost '/': received 'direct' but current is 'x-delayed-message'":                           "x-delayed-message",
		"PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'inequivalent arg 'type'' in vhost '/': received the value '0' of type 'long' but current is none": "",
		"PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'missing' in vhost '/'":                                                             "",
	} {
		if got := typeInRefusal(text); got != want {
			t.Errorf("%s\n%q, want %q", text, got, want)
		}
	}
}

// What an x-delayed-message exchange does not delay it routes at once, and what it returns
// then is lost.
func TestADelayedMessageExchangeKeepsWhatHasADelay(t *testing.T) {
	t.Parallel()
	keeps := keepsReturned["x-delayed-message"]
	for value, want := range map[string]bool{"5000": true, "1": true, "0": false, "-5": false, "soon": false, "": false, "5s": false, "99999999999": false} {
		table := amqp091.Table{delayHeader: value, "x-other": value}
		numberDelay(table)
		if table["x-other"] != value {
			t.Errorf("another header became %v", table["x-other"])
		}
		if got := keeps(table); got != want {
			t.Errorf("a delay of %q: kept %v, want %v", value, got, want)
		}
	}
	if keeps(amqp091.Table{}) {
		t.Error("a message without a delay counts as kept")
	}
}
