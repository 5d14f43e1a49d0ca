package notify

import (
	"context"
	"fmt"
	"strings"

	"relay"
)

// Technology is one way by which messages travel. Router, Dispatcher, Metrics and RowTargets
// look it up by the scheme of a target; what differs between technologies stands here and
// nowhere else. A nil function has nothing to say.
type Technology struct {
	// Name is the label of metrics.
	Name string
	// Prefixes begin its targets, such as "https://"; what stands before the colon is the scheme.
	Prefixes []string
	// Destination makes the attempts. Nil means that there is none, and Missing says why.
	Destination Destination
	// Missing is why nothing can be sent: a message that is new is rejected for it, one that was
	// taken up before waits. Nil means that nothing is missing.
	Missing error
	// Concurrency bounds the attempts under way to one destination whose subscriber sets no bound.
	Concurrency int
	// Origin is the circuit of failures to connect that all targets in rows share, such as
	// relay.CircuitBroker. Empty means that each origin has its own.
	Origin string
	// Shares reports whether one lane of targets in rows, or of the default destination, leads to
	// several places, so that an answer about one says nothing about the others.
	Shares func(relay.Target) bool
	// Check judges what depends on target and message together. Its error is a relay.Rejection.
	Check func(*relay.Delivery) error
	// CheckSubscriber says why nothing can be sent with the settings of a subscription.
	CheckSubscriber func(*relay.Subscriber) error
	// CheckRow says why no row may send to a target, whatever RELAY_ROW_DESTINATIONS allows.
	CheckRow func(relay.Target) error
	// Gone reports whether the instance of a delivery that is Pinned certainly does not exist any more.
	Gone func(context.Context, *relay.Delivery) bool
	// ParsePattern reads an element of RELAY_ROW_DESTINATIONS that begins with one of Prefixes.
	ParsePattern func(element string) (RowPattern, error)
}

// Technologies finds a technology by a target's scheme. The zero value knows none.
type Technologies struct {
	all      []*Technology
	byScheme map[string]*Technology
}

// Register returns a registry of the technologies. It keeps copies of them.
func Register(all ...Technology) Technologies {
	t := Technologies{byScheme: make(map[string]*Technology)}
	for _, one := range all {
		t.all = append(t.all, &one)
		for _, prefix := range one.Prefixes {
			scheme, _, _ := strings.Cut(prefix, ":")
			t.byScheme[scheme] = &one
		}
	}
	return t
}

// Of returns the technology of a target. The error says that there is none for it.
func (t Technologies) Of(target relay.Target) (*Technology, error) {
	if target.Kind == relay.TargetSubscription {
		return nil, fmt.Errorf("there is no subscription %q", target.Subscription)
	}
	if found := t.byScheme[target.Scheme()]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("no technology here serves targets that begin with %q", target.Scheme()+":")
}

// prefixes lists what targets begin with.
func (t Technologies) prefixes() string {
	var all []string
	for _, one := range t.all {
		all = append(all, one.Prefixes...)
	}
	return strings.Join(all, ", ")
}

// leastConcurrency is the smallest bound of them all. Zero means that there is no technology.
func (t Technologies) leastConcurrency() (least int) {
	for _, one := range t.all {
		if least == 0 || one.Concurrency < least {
			least = one.Concurrency
		}
	}
	return least
}

func (t *Technology) shares(target relay.Target) bool { return t.Shares != nil && t.Shares(target) }

func (t *Technology) check(d *relay.Delivery) error {
	if t.Check == nil {
		return nil
	}
	return t.Check(d)
}

func (t *Technology) checkSubscriber(s *relay.Subscriber) error {
	if t.CheckSubscriber == nil {
		return nil
	}
	return t.CheckSubscriber(s)
}

func (t *Technology) checkRow(target relay.Target) error {
	if t.CheckRow == nil {
		return nil
	}
	return t.CheckRow(target)
}
