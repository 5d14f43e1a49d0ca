package relay

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Cause is the class of a failure, as it stands in relay.delivery.cause and, of rejected
// messages, in relay.outbox.cause. The list is closed: the constants below, and HTTPCause and
// AMQPCause with a code of three digits. docs/troubleshooting.md has a paragraph for each.
type Cause string

// These are the causes. CauseNone stands for what did not fail, or failed under a version that kept none.
const (
	CauseNone Cause = ""

	CauseDNS           Cause = "dns"            // the host name does not resolve
	CauseRefused       Cause = "refused"        // nothing listens there
	CauseUnreachable   Cause = "unreachable"    // no connection for another reason
	CauseTimeout       Cause = "timeout"        // no connection, or no answer, in time
	CauseReset         Cause = "reset"          // the connection was closed before the answer
	CauseTLS           Cause = "tls"            // certificate or handshake
	CauseProtocol      Cause = "protocol"       // the answer is not HTTP
	CauseEgress        Cause = "egress"         // the address is not allowed
	CauseNoAddress     Cause = "no address"     // a broadcast without an instance
	CauseSettings      Cause = "settings"       // the subscription's own cannot be used
	CauseRelay         Cause = "relay"          // the relay failed on the message; its log has the details
	CauseUnroutable    Cause = "unroutable"     // the broker has no queue for the message
	CauseNack          Cause = "nack"           // the broker refused the message
	CauseNoConfirm     Cause = "no confirm"     // the broker did not confirm in time, or was lost before
	CauseBrokerDown    Cause = "broker down"    // there is no connection to the broker
	CauseBrokerBlocked Cause = "broker blocked" // the broker takes no message: an alarm
	CauseGaveUp        Cause = "gave up"        // due for longer than RELAY_GIVE_UP_AFTER, and not tried last

	CauseRedirect     Cause = "redirect"              // an HTTP answer that leads elsewhere
	CauseNoAck        Cause = "no ack"                // the consumer took it and said no more
	CauseConsumerNo   Cause = "consumer said no"      // the consumer acknowledged a failure
	CauseNoRoute      Cause = "rejected: route"       // no subscription, no default destination
	CauseBadHeader    Cause = "rejected: header"      // a header that cannot be sent
	CauseTooLarge     Cause = "rejected: size"        // larger than RELAY_MAX_PAYLOAD
	CauseBadTarget    Cause = "rejected: destination" // the row's destination cannot be used
	CauseNotStored    Cause = "rejected: database"    // the database refused to store the deliveries
	CauseCannotBeSent Cause = "rejected"              // the destination can never take the message
)

// FailureSide says which of two failures a cause is.
type FailureSide string

// These are the sides of a failure.
const (
	PushSide   FailureSide = "push"   // the message did not reach the consumer
	HandleSide FailureSide = "handle" // the consumer's own logic failed
	SendSide   FailureSide = "send"   // the message cannot be sent at all
)

var sides = map[Cause]FailureSide{
	CauseDNS: PushSide, CauseRefused: PushSide, CauseUnreachable: PushSide, CauseTimeout: PushSide, CauseReset: PushSide,
	CauseTLS: PushSide, CauseProtocol: PushSide, CauseEgress: PushSide, CauseNoAddress: PushSide, CauseSettings: PushSide,
	CauseRelay: PushSide, CauseUnroutable: PushSide, CauseNack: PushSide, CauseNoConfirm: PushSide, CauseBrokerDown: PushSide,
	CauseBrokerBlocked: PushSide, CauseGaveUp: PushSide,
	CauseRedirect: HandleSide, CauseNoAck: HandleSide, CauseConsumerNo: HandleSide,
	CauseNoRoute: SendSide, CauseBadHeader: SendSide, CauseTooLarge: SendSide, CauseBadTarget: SendSide, CauseNotStored: SendSide,
	CauseCannotBeSent: SendSide,
}

// Causes lists all causes but those with a code, push first.
func Causes() []Cause {
	return []Cause{
		CauseDNS, CauseRefused, CauseUnreachable, CauseTimeout, CauseReset, CauseTLS, CauseProtocol, CauseEgress, CauseNoAddress,
		CauseSettings, CauseRelay, CauseUnroutable, CauseNack, CauseNoConfirm, CauseBrokerDown, CauseBrokerBlocked, CauseGaveUp,
		CauseRedirect, CauseNoAck, CauseConsumerNo,
		CauseNoRoute, CauseBadHeader, CauseTooLarge, CauseBadTarget, CauseNotStored, CauseCannotBeSent,
	}
}

// CauseClasses lists one cause for each Heading: Causes, the codes with a paragraph of their own in the order of the
// alphabet, and for all other codes HTTPCause and AMQPCause of 0.
func CauseClasses() []Cause {
	return slices.Concat(Causes(), slices.Sorted(maps.Keys(explainedCodes)), []Cause{HTTPCause(0), AMQPCause(0)})
}

// HTTPCause is the cause of an answer with an HTTP status that is no success.
func HTTPCause(code int) Cause {
	if code >= 300 && code <= 399 {
		return CauseRedirect
	}
	return Cause(fmt.Sprintf("http %03d", code))
}

// AMQPCause is the cause of a broker's refusal with a reply code.
func AMQPCause(code int) Cause { return Cause(fmt.Sprintf("amqp %03d", code)) }

// Known reports whether the cause is one of the closed list.
func (c Cause) Known() bool {
	_, named := sides[c]
	family, _ := c.code()
	return named || family != ""
}

// Side says which failure the cause is. It is empty for CauseNone and for what is not Known.
func (c Cause) Side() FailureSide {
	if side, named := sides[c]; named {
		return side
	}
	switch family, code := c.code(); {
	case family == "amqp", family == "http" && (code == "429" || code == "502" || code == "503" || code == "504"):
		return PushSide
	case family == "http":
		return HandleSide
	}
	return ""
}

// explainedCodes are the codes with a paragraph of their own; the others share that of their family.
var explainedCodes = map[Cause]bool{
	"http 400": true, "http 401": true, "http 403": true, "http 404": true, "http 405": true, "http 410": true, "http 413": true,
	"http 429": true, "http 500": true, "http 502": true, "http 503": true, "http 504": true,
	"amqp 403": true, "amqp 404": true, "amqp 406": true,
}

// Heading is the title of the paragraph of docs/troubleshooting.md that says what to do: the
// cause itself, or "http" or "amqp" for a code that has none of its own. It is empty for what is not Known.
func (c Cause) Heading() string {
	family, _ := c.code()
	switch {
	case sides[c] != "" || explainedCodes[c]:
		return string(c)
	default:
		return family
	}
}

// Anchor is the part of a link after the hash that leads to the paragraph.
func (c Cause) Anchor() string {
	return strings.ReplaceAll(strings.ReplaceAll(c.Heading(), ":", ""), " ", "-")
}

// code splits a cause with a code of three digits into its family and the code.
func (c Cause) code() (family, code string) {
	family, code, _ = strings.Cut(string(c), " ")
	if family != "http" && family != "amqp" || len(code) != 3 || strings.Trim(code, "0123456789") != "" {
		return "", ""
	}
	return family, code
}
