package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"relay"
	"relay/sql"
)

const (
	// dialedAtOnce is how many endpoints are dialed at once, dialedMost how many at all.
	dialedAtOnce = 16
	dialedMost   = 100
	// namedMost is how many subscriptions of one kind are named.
	namedMost = 5
)

// checkSubscriptions looks whether the relay can send to each subscription, and dials their
// endpoints. Those that are paused need not be there.
func (d *doctor) checkSubscriptions(ctx context.Context, examiner *sql.Examiner) {
	all, err := examiner.Subscriptions(ctx)
	if err != nil {
		d.failed("subscriptions", err)
		return
	}
	before := d.count(resultFail)
	endpoints := make(map[string]*endpoint)
	var withoutBroker []string
	for _, s := range all {
		d.checkPatterns(s)
		target, err := subscriptionTarget(s.Target)
		switch {
		case err != nil:
			d.fail("subscriptions", "relay subscriptions set "+s.Name+" --target …", "nothing is sent to %s: %s", s.Name, oneLine(err))
		case s.Paused:
		case target.Kind != relay.TargetHTTP:
			withoutBroker = append(withoutBroker, s.Name)
		case endpoints[target.Origin()] == nil:
			endpoints[target.Origin()] = &endpoint{url: target.URL, names: []string{s.Name}}
		default:
			at := endpoints[target.Origin()]
			at.names = append(at.names, s.Name)
		}
	}
	if d.config.AMQPURL == "" && len(withoutBroker) > 0 {
		d.fail("subscriptions", "set RELAY_AMQP_URL for every relay", "what is for %s waits: their targets are on a broker, and RELAY_AMQP_URL is not set", naming(withoutBroker))
	}
	d.checkEndpoints(ctx, endpoints)
	if d.count(resultFail) == before {
		d.ok("subscriptions", "%d, and nothing is wrong with their targets", len(all))
	}
}

// checkPatterns names patterns that match nothing, which earlier versions took.
func (d *doctor) checkPatterns(s sql.SubscriptionTarget) {
	for _, pattern := range s.Topics {
		if err := relay.CheckPattern(pattern); err != nil {
			d.fail("subscriptions", "relay subscriptions set "+s.Name+" --topics …, with all of its patterns", "%s: %s", s.Name, oneLine(err))
		}
	}
}

// subscriptionTarget is where a subscription leads.
func subscriptionTarget(text string) (relay.Target, error) {
	target, err := relay.ParseTarget(text)
	switch {
	case err != nil:
		return target, fmt.Errorf("target: %w", err)
	case target.Kind == relay.TargetSubscription:
		return target, errors.New("target: a subscription cannot lead to another one")
	}
	return target, nil
}

// endpoint is an origin with the subscriptions that lead there.
type endpoint struct {
	url   *url.URL // of one of them
	names []string
}

// checkEndpoints dials each origin once, the first hundred of them.
func (d *doctor) checkEndpoints(ctx context.Context, endpoints map[string]*endpoint) {
	origins := slices.Sorted(maps.Keys(endpoints))
	if len(origins) > dialedMost {
		d.ok("endpoints", "of %d the first %d are dialed", len(origins), dialedMost)
		origins = origins[:dialedMost]
	}
	refusals := make(map[string]error)
	var mu sync.Mutex
	var all errgroup.Group
	all.SetLimit(dialedAtOnce)
	for _, origin := range origins {
		all.Go(func() error {
			if _, err := dial(ctx, endpoints[origin].url); err != nil {
				mu.Lock()
				defer mu.Unlock()
				refusals[origin] = err
			}
			return nil
		})
	}
	_ = all.Wait() // none of them returns an error
	for _, origin := range slices.Sorted(maps.Keys(refusals)) {
		err, names := refusals[origin], endpoints[origin].names
		d.fail("endpoints", mendEndpoint(err, "start it, or relay subscriptions set "+names[0]+" --target …"),
			"%s, of %s: %s", origin, naming(names), oneLine(err))
	}
}

// naming lists names, the first few of many.
func naming(names []string) string {
	if len(names) > namedMost {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:namedMost], ", "), len(names)-namedMost)
	}
	return strings.Join(names, ", ")
}
