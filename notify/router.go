package notify

import (
	"cmp"
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
// inherits. The zero value rejects every message.
type RouterConfig struct {
	// Default is RELAY_DEFAULT_DESTINATION: a target of one of the technologies. Empty means that
	// there is none.
	Default string
	// Source stands in for a row's own source (RELAY_SOURCE).
	Source string
	// Technologies are the technologies that messages can use.
	Technologies Technologies
	// Timeout bounds one attempt (RELAY_HTTP_TIMEOUT).
	Timeout time.Duration
	// Rows says where rows may send by a destination of their own (RELAY_ROW_DESTINATIONS). Nil
	// lets rows send everywhere.
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
	acks    map[string]bool // by the technologies whose consumers acknowledge
	counted atomic.Pointer[matches]
}

// matches is how many subscriptions match the topic that was looked up last.
type matches struct {
	topic         string
	subscriptions int
}

// Replace makes the router use these subscriptions from now on. It keeps them; the caller must not
// change them afterwards.
func (r *Router) Replace(version int64, all []*relay.Subscriber) {
	next := &routes{version: version, byName: make(map[string]*relay.Subscriber, len(all)), acks: make(map[string]bool)}
	for _, s := range all {
		if technology := r.judge(s); s.AckByConsumer {
			next.acks[technology] = true
		}
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

// judge notes why nothing can be sent to a subscription, and returns the name of its technology.
func (r *Router) judge(s *relay.Subscriber) (technology string) {
	s.Refers = refersAnywhere(s)
	found, err := r.config.Technologies.Of(s.Target)
	if err != nil {
		s.Invalid = cmp.Or(s.Invalid, "target: "+err.Error())
		return noTechnology
	}
	if err := found.checkSubscriber(s); err != nil {
		s.Invalid = cmp.Or(s.Invalid, err.Error())
	}
	return found.Name
}

// WantsAcks reports whether the consumers of some subscription acknowledge.
func (r *Router) WantsAcks() bool { return len(r.routes.Load().acks) > 0 }

// WantsAcksBy reports whether those of some subscription with a target of the technology do.
func (r *Router) WantsAcksBy(technology string) bool { return r.routes.Load().acks[technology] }

// Version returns the version of the subscriptions in use. Zero means that none were loaded.
func (r *Router) Version() int64 { return r.routes.Load().version }

// Paused reports whether a circuit is that of a subscription that is paused, or of one of
// its instances.
func (r *Router) Paused(circuit string) bool {
	name, _, _ := strings.Cut(circuit, "/")
	s := r.routes.Load().byName[name]
	return s != nil && s.Paused
}

// Rests reports whether no work for a subscription goes on until it is changed: it is paused and no broadcast. For
// a paused broadcast the instances are still looked up.
func (r *Router) Rests(subscription string) bool {
	s := r.routes.Load().byName[subscription]
	return s != nil && s.Paused && !s.Broadcast
}

// NewRouter returns a router, or an error if the default destination is no target of a
// technology by which this relay can send.
func NewRouter(config RouterConfig) (*Router, error) {
	r := &Router{config: config}
	r.routes.Store(&routes{})
	if config.Default == "" {
		return r, nil
	}
	target, err := relay.ParseTarget(config.Default)
	if err == nil {
		_, err = r.check(target)
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
		if err := r.checkDelivery(d); err != nil && len(subscribers) == 1 {
			return nil, err
		} else if err != nil {
			d.Refused = err.Error()
		}
		deliveries[i] = d
	}
	return deliveries, nil
}

// Resume returns a delivery read from the table at its next attempt; attempts is the number of
// attempts already made. The default destination is the one of today, so that an operator who
// mends it mends what waits; a row's own is the one it was taken up with, if rows may still send
// there.
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
	return d, r.checkDelivery(d)
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
	var technology *Technology
	if err == nil {
		technology, err = r.config.Technologies.Of(parsed)
	}
	direct := subscription == relay.SubscriptionDirect
	if err == nil && direct {
		err = r.checkRow(technology, parsed, m)
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
	var technology *Technology
	if err == nil {
		technology, err = r.check(target)
	}
	if err == nil {
		err = r.checkRow(technology, target, m)
	}
	if err != nil {
		return nil, relay.Rejection("destination: " + err.Error())
	}
	return &relay.Subscriber{Name: relay.SubscriptionDirect, Target: target, Timeout: r.config.Timeout}, nil
}

// check returns the technology by which this relay can send to the target, or why it cannot.
func (r *Router) check(target relay.Target) (*Technology, error) {
	technology, err := r.config.Technologies.Of(target)
	if err != nil {
		return nil, err
	}
	return technology, technology.Missing
}

// checkRow says why a row may not send a message to a target that it names itself.
func (r *Router) checkRow(technology *Technology, target relay.Target, m *relay.Message) error {
	if err := r.config.Rows.checkAny(); err != nil {
		return err
	}
	if err := technology.checkRow(target); err != nil {
		return err
	}
	return r.config.Rows.check(target, m)
}

func (r *Router) delivery(m *relay.Message, s *relay.Subscriber, instance string, headers map[string]string) *relay.Delivery {
	source := m.Source
	if source == "" {
		source = r.config.Source
	}
	return &relay.Delivery{Message: m, Subscriber: s, Instance: instance, Headers: headers, Source: source}
}

// checkDelivery judges what depends on target and message together.
func (r *Router) checkDelivery(d *relay.Delivery) error {
	technology, err := r.config.Technologies.Of(d.Subscriber.Target)
	if err != nil {
		return nil // the subscription says so itself: Subscriber.Invalid
	}
	return technology.check(d)
}
