package relay

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// Circuits names what a delivery shares with others: a place among the attempts under way,
// and the health of what it goes to. What an operator configured shares nothing with what
// rows name, even if both lead to the same URL.
type Circuits struct {
	// Lane bounds what is under way and what waits in memory: a subscription or an instance
	// of it, the default destination, or of a row's own target the origin, exchange or queue.
	Lane string
	// Origin is the circuit for which failures to connect count: for a row's own target the
	// scheme, host and port, or the broker, otherwise the lane.
	Origin string
	// Target is the circuit for which answers count, and Retry-After: for a row's own
	// target the whole of it, otherwise the lane.
	Target string
}

// CircuitBroker is the circuit for which failures to reach the broker count, of rows with
// an AMQP target of their own.
const CircuitBroker = "amqp:"

// Direct reports whether the row itself named the target.
func (d *Delivery) Direct() bool { return d.Subscriber.Name == SubscriptionDirect }

// Circuits returns the names of what the delivery shares. No subscription's name holds a
// slash or a colon, so that nothing that a row names is taken for one.
func (d *Delivery) Circuits() Circuits {
	if !d.Direct() {
		name := d.Subscriber.Name
		if d.Pinned() {
			name += "/" + d.Instance
		}
		return Circuits{Lane: name, Origin: name, Target: name}
	}
	t := d.Subscriber.Target
	f := forms[t.Kind]
	return Circuits{Lane: f.lane(t), Origin: f.origin(t), Target: f.circuit(t)}
}

// Circuit is the delivery's lane: what it waits for unless an outcome says otherwise.
func (d *Delivery) Circuit() string { return d.Circuits().Lane }

// maxCircuit is the largest length of a circuit's name in bytes: it is indexed.
const maxCircuit = 1024

// httpCircuit names an HTTP target among those of its origin. The path, which begins with a
// slash, tells it from the origin. User and password stand there as a digest: what is
// answered to one user says nothing about another.
func httpCircuit(t Target) string {
	name := httpOrigin(t) + t.URL.RequestURI()
	if t.URL.User != nil {
		name += fmt.Sprintf("#%x", sha256.Sum256([]byte(t.URL.User.String())))[:17]
	}
	return abridged(name, maxCircuit)
}

// entity names the exchange or the queue of an AMQP target, whatever the routing key.
func entity(t Target) string { return CircuitBroker + t.Exchange + "/" + t.Queue }

// OriginOfCircuit returns the origin of a circuit that rows' own targets have: of an HTTP
// target scheme, host and port, of an exchange or a queue the broker. The name of any
// other circuit is returned as it is.
func OriginOfCircuit(name string) string {
	scheme, rest, found := strings.Cut(name, "://")
	switch {
	case found && (scheme == "http" || scheme == "https"):
		host, _, _ := strings.Cut(rest, "/")
		return scheme + "://" + host
	case strings.HasPrefix(name, CircuitBroker):
		return CircuitBroker
	}
	return name
}

// ShowCircuit returns the name of a circuit fit for logs and for people: what may be secret
// in a URL is left out.
func ShowCircuit(name string) string {
	origin := OriginOfCircuit(name)
	if origin == name || origin == CircuitBroker {
		return name
	}
	text, _, _ := strings.Cut(name, "#")
	target, err := ParseTarget(text)
	if err != nil {
		return origin + "/…"
	}
	return target.Redacted()
}

// CircuitOfRow reports whether a circuit is that of rows' own targets.
func CircuitOfRow(name string) bool {
	i := strings.IndexAny(name, "/:")
	return i >= 0 && name[i] == ':'
}
