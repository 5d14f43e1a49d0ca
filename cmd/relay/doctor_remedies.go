package main

import (
	"fmt"
	"regexp"
	"strings"

	"relay"
	"relay/sql"
)

// remedy is what helps where an error holds one of some words. The first that fits is taken.
type remedy struct {
	words []string
	// helps returns the steps before what waits is sent again; parts are what the error quotes.
	helps func(of failed, parts []string) string
}

// failed is what did not reach its destination, or not its end.
type failed struct {
	subscription string // direct: a row names the destination; default: RELAY_DEFAULT_DESTINATION
	destination  string // as people may see it
	message      relay.ID
	topic        string
}

// noConnection is how an error begins of an attempt that found no broker.
const noConnection = "no connection to the broker"

// remedies are in order: the more particular word stands first.
var remedies = []remedy{
	{[]string{noConnection}, func(failed, []string) string {
		return "start the broker, or set RELAY_AMQP_URL to where it is, as the line broker says"
	}},
	{[]string{"RELAY_AMQP_URL"}, func(failed, []string) string { return forEvery("RELAY_AMQP_URL to the broker's address") }},
	{[]string{"RELAY_ACK_URL"}, func(failed, []string) string {
		return forEvery("RELAY_ACK_ADDR and RELAY_ACK_URL to where HTTP consumers reach the relay")
	}},
	{[]string{"RELAY_EGRESS_ALLOW"}, func(failed, []string) string {
		return forEvery("RELAY_EGRESS_ALLOW to allow the address that it names")
	}},
	{[]string{"RELAY_ROW_DESTINATIONS"}, func(failed, []string) string { return forEvery("RELAY_ROW_DESTINATIONS to let rows send there") }},
	{[]string{"RELAY_MAX_PAYLOAD"}, func(failed, []string) string {
		return forEvery("RELAY_MAX_PAYLOAD and RELAY_IN_FLIGHT_BYTES to more than it has")
	}},
	{[]string{"no queue is bound to the exchange"}, func(_ failed, parts []string) string {
		return fmt.Sprintf("rabbitmqadmin declare queue name=QUEUE, then rabbitmqadmin declare binding source=%s destination=QUEUE routing_key=%s", part(parts, 0), part(parts, 1))
	}},
	{[]string{"there is no queue"}, func(_ failed, parts []string) string {
		return "rabbitmqadmin declare queue name=" + part(parts, 0)
	}},
	{[]string{"no exchange"}, func(of failed, _ []string) string { return "rabbitmqadmin declare exchange type=topic name=EXCHANGE" }},
	{[]string{"there is no subscription"}, func(of failed, parts []string) string {
		return "relay subscriptions set " + part(parts, 0) + " --topics " + topicOr(of.topic) + " --target URL"
	}},
	{[]string{"no route"}, func(of failed, _ []string) string {
		return "relay subscriptions set NAME --topics " + topicOr(of.topic) + " --target URL"
	}},
	{[]string{"answered 401", "answered 403"}, func(of failed, _ []string) string {
		return "let the receiver check the secret of this relay (relay subscriptions set NAME --secrets-file FILE, or RELAY_HTTP_SECRET, has it)"
	}},
	{[]string{"answered 3", "answered 404", "answered 405", "does not resolve", "certificate", "the target is no http"}, func(of failed, _ []string) string { return of.moved() }},
	{[]string{"destination: ", "header", "target: "}, func(of failed, _ []string) string { return of.moved() }},
	{[]string{"answered "}, func(of failed, _ []string) string { return "mend the receiver at " + of.destination }},
}

// mendDelivery says what helps against a failure, by its error. again is the command that sends what failed again.
func mendDelivery(of failed, err, again string) string {
	first := "start what listens at " + of.destination
	if of.destination == "" {
		first = of.moved()
	}
	for _, r := range remedies {
		if holdsAny(err, r.words) {
			first = r.helps(of, quoted(err))
			break
		}
	}
	return first + ", then " + again
}

// moved is the command that has the messages of a subscriber go elsewhere.
func (f failed) moved() string {
	switch f.subscription {
	case relay.SubscriptionDefault:
		return "set RELAY_DEFAULT_DESTINATION to where it is" + startAgain
	case relay.SubscriptionDirect, "":
		if f.message != (relay.ID{}) {
			return fmt.Sprintf("relay messages copy %s --destination URL, then relay messages cancel %[1]s", f.message)
		}
		return "have the application name another destination"
	}
	return "relay subscriptions set " + f.subscription + " --target URL"
}

// mendWaiting says what helps deliveries that wait.
func (d *doctor) mendWaiting(w sql.Waiting) string {
	again := "relay messages retry --status open --yes"
	if w.Subscription != "" {
		again = "relay messages retry --status open --subscription " + w.Subscription + " --yes"
	}
	switch {
	case strings.Contains(w.Why, string(relay.ReasonPaused)):
		return "relay subscriptions resume " + w.Subscription
	case strings.Contains(w.Why, string(relay.ReasonNoResources)):
		return "give the machines of the relays more of what is short: file descriptors, memory or ports; they go on by themselves"
	case strings.Contains(w.Why, string(relay.ReasonKeyBlocked)):
		return "relay keys list --subscription " + w.Subscription + ": it names the message at the head of each key"
	case strings.Contains(w.Why, string(relay.ReasonFull)) && w.Error == "":
		return "wait: they go on as soon as the destination has room; or give the subscription more concurrency"
	}
	if strings.Contains(w.Error, noConnection) && d.brokerAnswers() {
		return "wait: the broker answers again, and they go when they are due; or at once: " + again
	}
	of := failed{subscription: w.Subscription, destination: d.leadsTo(w.Subscription)}
	if of.destination == "" {
		of.destination = w.Circuit
	}
	return mendDelivery(of, w.Error, again)
}

// brokerAnswers reports whether each relay that runs says that it is connected to its broker.
func (d *doctor) brokerAnswers() bool {
	for _, r := range d.relays {
		if r.Report.Broker == nil || !r.Report.Broker.Up {
			return false
		}
	}
	return len(d.relays) > 0
}

// mendDead says what helps against deaths at a subscriber for one reason.
func (d *doctor) mendDead(f sql.Failure) string {
	again := "relay messages retry --status dead --yes"
	if f.Subscription != "" {
		again = "relay messages retry --status dead --subscription " + f.Subscription + " --yes"
	}
	if strings.Contains(f.Error, noConnection) && d.brokerAnswers() {
		return again
	}
	of := failed{subscription: f.Subscription, destination: d.leadsTo(f.Subscription), message: f.Youngest, topic: f.Topic}
	return mendDelivery(of, f.Error, again)
}

// leadsTo is where the messages of a subscriber go, as people may see it. Empty means that it is not known.
func (d *doctor) leadsTo(subscription string) string {
	if subscription == relay.SubscriptionDefault {
		return d.config.DefaultDestination.String()
	}
	return d.targets[subscription]
}

// mendRejected says what helps against rejections for one reason. What has no route is taken up by itself within a
// day of its rejection; a retry takes what is older.
func mendRejected(f sql.Failure) string {
	of := failed{message: f.Youngest, topic: f.Topic}
	again := "relay messages retry --status rejected --yes"
	mend := mendDelivery(of, f.Error, again)
	if strings.HasPrefix(mend, "relay messages copy") {
		return strings.TrimSuffix(mend, ", then "+again) // the row itself cannot be mended
	}
	return mend
}

func holdsAny(text string, words []string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

var quotedText = regexp.MustCompile(`"([^"]*)"`)

// quoted returns what an error quotes.
func quoted(err string) (parts []string) {
	for _, match := range quotedText.FindAllStringSubmatch(err, -1) {
		parts = append(parts, match[1])
	}
	return parts
}

func part(parts []string, i int) string {
	if i < len(parts) && parts[i] != "" {
		return parts[i]
	}
	return "NAME"
}

func topicOr(topic string) string {
	if topic == "" {
		return "TOPIC"
	}
	return topic
}
