package notify

import (
	"errors"
	"fmt"
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
	// Timeout bounds one attempt (RELAY_HTTP_TIMEOUT).
	Timeout time.Duration
}

// Router finds the subscribers of a message. It is safe for concurrent use.
type Router struct {
	config   RouterConfig
	fallback *relay.Subscriber
}

// NewRouter returns a router, or an error if the default destination is no HTTP or AMQP
// target that this relay can reach.
func NewRouter(config RouterConfig) (*Router, error) {
	r := &Router{config: config}
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

// HasDefault reports whether a message without a destination of its own has a route.
func (r *Router) HasDefault() bool { return r.fallback != nil }

// Route returns the deliveries of a message that is taken up, each at its first attempt.
// An error is a relay.Rejection: the message cannot be sent, and the error is its reason.
func (r *Router) Route(m *relay.Message) ([]*relay.Delivery, error) {
	headers, err := relay.ParseHeaders(m.Headers)
	if err != nil {
		return nil, err
	}
	subscriber, err := r.subscriber(m)
	if err != nil {
		return nil, err
	}
	instance := relay.PlainInstance
	if subscriber.Name == relay.SubscriptionDirect {
		instance = subscriber.Target.Raw
	}
	d := r.delivery(m, subscriber, instance, headers)
	d.Attempt = 1
	return []*relay.Delivery{d}, checkDelivery(d)
}

// Resume returns a delivery read from the table at its next attempt, after so many
// attempts. The default destination is the one of today, so that an operator who mends it
// mends what waits; a row's own is the one it was taken up with.
func (r *Router) Resume(m *relay.Message, subscription, instance, target string, attempts int) (*relay.Delivery, error) {
	headers, err := relay.ParseHeaders(m.Headers)
	if err != nil {
		return nil, err
	}
	subscriber := r.fallback
	if subscription != relay.SubscriptionDefault || subscriber == nil {
		parsed, err := relay.ParseTarget(target)
		if err == nil {
			err = r.check(parsed)
		}
		if err != nil {
			return nil, relay.Rejection("destination: " + err.Error())
		}
		subscriber = &relay.Subscriber{Name: subscription, Target: parsed, Trusted: subscription != relay.SubscriptionDirect, Timeout: r.config.Timeout}
	}
	d := r.delivery(m, subscriber, instance, headers)
	d.Attempt = attempts + 1
	return d, checkDelivery(d)
}

// subscriber decides between the row's own destination and the default one.
func (r *Router) subscriber(m *relay.Message) (*relay.Subscriber, error) {
	if m.Destination == "" {
		if r.fallback == nil {
			return nil, NoRoute
		}
		return r.fallback, nil
	}
	target, err := relay.ParseTarget(m.Destination)
	if err == nil {
		err = r.check(target)
	}
	if err != nil {
		return nil, relay.Rejection("destination: " + err.Error())
	}
	return &relay.Subscriber{Name: relay.SubscriptionDirect, Target: target, Timeout: r.config.Timeout}, nil
}

// check says whether this relay can send to the target at all.
func (r *Router) check(target relay.Target) error {
	switch target.Kind {
	case relay.TargetSubscription:
		return fmt.Errorf("there is no subscription %q", target.Subscription)
	case relay.TargetExchange, relay.TargetQueue:
		if !r.config.Broker {
			return errors.New("it needs a broker, and RELAY_AMQP_URL is not set")
		}
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
