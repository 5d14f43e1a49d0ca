package notify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"relay"
)

// NoRoute is the reason of a message that has no destination of its own and matches none.
const NoRoute = relay.Rejection("no route: the row names no destination, no subscription matches its topic, and RELAY_DEFAULT_DESTINATION is not set")

// RouterConfig says where messages go that name no destination, and what every delivery
// inherits. The zero value rejects messages without a destination of their own.
type RouterConfig struct {
	// Default is RELAY_DEFAULT_DESTINATION: an HTTP or AMQP target. Empty: none.
	Default string
	// Source stands in for a row's own source (RELAY_SOURCE).
	Source string
	// Broker says that an AMQP broker is configured; without one AMQP targets are rejected.
	Broker bool
	// AckURL says that consumers can acknowledge over HTTP; without it HTTP subscriptions of
	// which the consumer acknowledges cannot be served.
	AckURL bool
	// Timeout bounds one attempt (RELAY_HTTP_TIMEOUT).
	Timeout time.Duration
	// Rows says where rows may send by a destination of their own (RELAY_ROW_DESTINATIONS).
	// Nil: everywhere.
	Rows *RowTargets
}

// Router finds the subscribers of a message. It is safe for concurrent use.
type Router struct {
	config   RouterConfig
	fallback *relay.Subscriber
	routes   atomic.Pointer[routes]
}

// routes are the subscriptions at one version, compiled once.
type routes struct {
	version int64
	byName  map[string]*relay.Subscriber
	topics  patterns[*relay.Subscriber]
	acks    bool // the consumers of one acknowledge
	replies bool // and do so through the broker
	counted atomic.Pointer[matches]
}

// matches is how many subscriptions match the topic that was looked up last.
type matches struct {
	topic         string
	subscriptions int
}

// Replace makes the router use these subscriptions from now on. It keeps them; nobody may
// change them afterwards.
func (r *Router) Replace(version int64, all []*relay.Subscriber) {
	next := &routes{version: version, byName: make(map[string]*relay.Subscriber, len(all))}
	for _, s := range all {
		if err := checkTarget(s.Target); err != nil && s.Invalid == "" {
			s.Invalid = "target: " + err.Error()
		}
		if s.Invalid == "" && s.AckByConsumer && s.Target.Kind == relay.TargetHTTP && !r.config.AckURL {
			s.Invalid = noAckURL
		}
		next.acks = next.acks || s.AckByConsumer
		next.replies = next.replies || s.AckByConsumer && s.Target.Kind != relay.TargetHTTP
		if s.Timeout == 0 {
			s.Timeout = r.config.Timeout
		}
		next.byName[s.Name] = s
		for _, pattern := range s.Topics {
			next.topics.add(pattern, s)
		}
	}
	r.routes.Store(next)
}

// noAckURL is why nothing is sent to consumers that could not acknowledge it: each message
// would come to them again and again, and be dead in the end.
const noAckURL = "ack: its HTTP consumer is to acknowledge, and cannot: set RELAY_ACK_URL and RELAY_ACK_ADDR, or ack = 'response'"

// WantsAcks reports whether the consumers of some subscription acknowledge.
func (r *Router) WantsAcks() bool { return r.routes.Load().acks }

// WantsReplies reports whether some of them do so through the broker.
func (r *Router) WantsReplies() bool { return r.routes.Load().replies }

// Version returns the version of the subscriptions in use. Zero: none were loaded.
func (r *Router) Version() int64 { return r.routes.Load().version }

// Paused reports whether a circuit is that of a subscription that is paused, or of one of
// its instances.
func (r *Router) Paused(circuit string) bool {
	name, _, _ := strings.Cut(circuit, "/")
	s := r.routes.Load().byName[name]
	return s != nil && s.Paused
}

// Rests reports whether nothing at all of a subscription goes on until it is changed: it is paused, and no broadcast,
// of which it is still found out who gets a copy.
func (r *Router) Rests(subscription string) bool {
	s := r.routes.Load().byName[subscription]
	return s != nil && s.Paused && !s.Broadcast
}

// NewRouter returns a router, or an error if the default destination is no HTTP or AMQP
// target that this relay can reach.
func NewRouter(config RouterConfig) (*Router, error) {
	r := &Router{config: config}
	r.routes.Store(&routes{})
	if config.Default == "" {
		return r, nil
	}
	target, err := relay.ParseTarget(config.Default)
	if err == nil {
		err = r.check(target)
	}
	if err != nil {
		return nil, fmt.Errorf("default destination: %w", err)
	}
	r.fallback = &relay.Subscriber{Name: relay.SubscriptionDefault, Target: target, Trusted: true, Timeout: config.Timeout}
	return r, nil
}

// BlocksOnDead reports whether a message of the subscription that died holds its key.
func (r *Router) BlocksOnDead(subscription string) bool {
	s := r.routes.Load().byName[subscription]
	return s != nil && s.BlockOnDead
}

// Unordered reports whether messages of the subscription may overtake each other.
func (r *Router) Unordered(subscription string) bool {
	s := r.routes.Load().byName[subscription]
	return s != nil && s.Unordered
}

// Routes returns how many subscribers a message of the topic without a destination of its own has.
func (r *Router) Routes(topic string) int {
	n := r.routes.Load().count(topic)
	if n == 0 && r.fallback != nil {
		return 1
	}
	return n
}

// count returns how many subscriptions match a topic. Messages of one topic often come one after the other, and to
// match one that hundreds of patterns match costs more than to read the message.
func (r *routes) count(topic string) int {
	if last := r.counted.Load(); last != nil && last.topic == topic {
		return last.subscriptions
	}
	n := len(r.topics.match(topic))
	r.counted.Store(&matches{topic, n})
	return n
}

// NoRoute is the reason of a message that has none.
func (r *Router) NoRoute() string { return NoRoute.Error() }

// Route returns the deliveries of a message that is taken up, each at its first attempt.
// An error is a relay.Rejection: the message cannot be sent, and the error is its reason.
func (r *Router) Route(m *relay.Message) ([]*relay.Delivery, error) {
	headers, err := relay.ParseHeaders(m.Headers)
	if err != nil {
		return nil, err
	}
	subscribers, err := r.subscribers(m)
	if err != nil {
		return nil, err
	}
	deliveries := make([]*relay.Delivery, len(subscribers))
	for i, s := range subscribers {
		d := r.delivery(m, s, relay.PlainInstance, headers)
		if s.Name == relay.SubscriptionDirect {
			d.Instance = s.Target.Instance()
		}
		d.Attempt = 1
		if err := checkDelivery(d); err != nil && len(subscribers) == 1 {
			return nil, err
		} else if err != nil {
			d.Refused = err.Error()
		}
		deliveries[i] = d
	}
	return deliveries, nil
}

// Resume returns a delivery read from the table at its next attempt, after so many
// attempts. The default destination is the one of today, so that an operator who mends it
// mends what waits; a row's own is the one it was taken up with, if rows may still send there.
func (r *Router) Resume(m *relay.Message, subscription, instance, target string, attempts int) (*relay.Delivery, error) {
	headers, err := relay.ParseHeaders(m.Headers)
	if err != nil {
		return nil, err
	}
	subscriber, err := r.known(m, subscription, target)
	if err != nil {
		return nil, err
	}
	d := r.delivery(m, subscriber, instance, headers)
	d.Attempt = attempts + 1
	return d, checkDelivery(d)
}

// known returns the subscriber of a delivery that was taken up earlier, as it is today.
func (r *Router) known(m *relay.Message, subscription, target string) (*relay.Subscriber, error) {
	switch {
	case subscription == relay.SubscriptionDefault && r.fallback != nil:
		return r.fallback, nil
	case subscription != relay.SubscriptionDefault && subscription != relay.SubscriptionDirect:
		if s := r.routes.Load().byName[subscription]; s != nil {
			return s, nil
		}
		return nil, relay.Rejection(fmt.Sprintf("there is no subscription %q any more", subscription))
	}
	parsed, err := relay.ParseTarget(target)
	if err == nil {
		err = checkTarget(parsed)
	}
	direct := subscription == relay.SubscriptionDirect
	if err == nil && direct {
		err = r.config.Rows.check(parsed, m)
	}
	if err != nil {
		return nil, relay.Rejection("destination: " + err.Error())
	}
	return &relay.Subscriber{Name: subscription, Target: parsed, Trusted: !direct, Timeout: r.config.Timeout}, nil
}

// subscribers decides: the row's own destination, else every subscription whose topics
// match, else the default destination.
func (r *Router) subscribers(m *relay.Message) ([]*relay.Subscriber, error) {
	if m.Destination != "" {
		s, err := r.own(m)
		return []*relay.Subscriber{s}, err
	}
	if found := r.routes.Load().topics.match(m.Topic); len(found) > 0 {
		slices.SortFunc(found, func(a, b *relay.Subscriber) int { return strings.Compare(a.Name, b.Name) })
		return found, nil
	}
	if r.fallback == nil {
		return nil, NoRoute
	}
	return []*relay.Subscriber{r.fallback}, nil
}

// own returns the subscriber for a row's own destination: a subscription's name, or a target to
// which rows may send.
func (r *Router) own(m *relay.Message) (*relay.Subscriber, error) {
	if err := r.config.Rows.checkAny(); err != nil {
		return nil, relay.Rejection("destination: " + err.Error())
	}
	target, err := relay.ParseTarget(m.Destination)
	if err == nil && target.Kind == relay.TargetSubscription {
		if s := r.routes.Load().byName[target.Subscription]; s != nil {
			return s, nil
		}
	}
	if err == nil {
		err = r.check(target)
	}
	if err == nil {
		err = r.config.Rows.check(target, m)
	}
	if err != nil {
		return nil, relay.Rejection("destination: " + err.Error())
	}
	return &relay.Subscriber{Name: relay.SubscriptionDirect, Target: target, Timeout: r.config.Timeout}, nil
}

// errNoBroker is why nothing goes to an AMQP target. A message that is new is rejected; one
// that was taken up while there was a broker waits.
var errNoBroker = errors.New("it needs a broker, and RELAY_AMQP_URL is not set")

// check says whether this relay can send to the target at all.
func (r *Router) check(target relay.Target) error {
	if target.Kind != relay.TargetHTTP && target.Kind != relay.TargetSubscription && !r.config.Broker {
		return errNoBroker
	}
	return checkTarget(target)
}

// checkTarget says whether the target is one that messages may go to, be it that they have to wait.
func checkTarget(target relay.Target) error {
	if target.Kind == relay.TargetSubscription {
		return fmt.Errorf("there is no subscription %q", target.Subscription)
	}
	return nil
}

func (r *Router) delivery(m *relay.Message, s *relay.Subscriber, instance string, headers map[string]string) *relay.Delivery {
	source := m.Source
	if source == "" {
		source = r.config.Source
	}
	return &relay.Delivery{Message: m, Subscriber: s, Instance: instance, Headers: headers, Source: source}
}

// checkDelivery judges what depends on target and message together.
func checkDelivery(d *relay.Delivery) error {
	t := d.Subscriber.Target
	if t.Kind == relay.TargetHTTP {
		return nil
	}
	if key := t.RoutingKeyFor(d.Message); len(key) > relay.MaxShortString {
		return relay.Rejection(fmt.Sprintf("routing key of %d bytes, AMQP allows %d", len(key), relay.MaxShortString))
	}
	if len(d.Message.Topic) > relay.MaxShortString {
		return relay.Rejection(fmt.Sprintf("topic of %d bytes, AMQP allows a type of %d", len(d.Message.Topic), relay.MaxShortString))
	}
	return nil
}
