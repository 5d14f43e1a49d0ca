package main

import (
	"context"
	"fmt"
	"strings"

	"relay"
	"relay/notify"
	"relay/sql"
)

// namedMost is how many subscriptions of one kind are named.
const namedMost = 5

// checkSubscriptions looks whether the relay can send to each subscription, and dials their
// endpoints. Those that are paused need not be there.
func (d *doctor) checkSubscriptions(ctx context.Context, examiner *sql.Examiner) {
	all, err := examiner.Subscriptions(ctx)
	if err != nil {
		d.failed("subscriptions", err)
		return
	}
	before := d.count(resultFail)
	targets := make(map[string][]subscriptionAt)
	for _, s := range all {
		d.checkPatterns(s)
		target, err := relay.ParseSubscriptionTarget(s.Target)
		if err != nil {
			d.fail("subscriptions", "relay subscriptions set "+s.Name+" --target URL", "nothing is sent to %s: %s", s.Name, oneLine(err))
			continue
		}
		subscriber := d.checkSubscriber(s, target)
		if subscriber != nil && !s.Paused {
			targets[target.Scheme()] = append(targets[target.Scheme()], subscriptionAt{s.Name, target, subscriber})
		}
	}
	d.checkTargets(ctx, targets)
	if d.count(resultFail) == before {
		d.ok("subscriptions", "%d, and nothing is wrong with their targets", len(all))
	}
}

// checkSubscriber looks whether headers and secrets can be used, and what they name can be read.
// Nil means that nothing can be sent.
func (d *doctor) checkSubscriber(s sql.SubscriptionTarget, target relay.Target) *relay.Subscriber {
	subscriber := &relay.Subscriber{Name: s.Name, Target: target, Trusted: true, Secrets: s.Secrets}
	references, err := notify.ParseReferences(d.config.SubscriptionSecrets)
	if err == nil {
		subscriber.Headers, err = relay.ParseHeaders(s.Headers)
	}
	if err == nil {
		subscriber, err = references.Resolve(subscriber)
	}
	technology, unknown := registry(d.config).Of(target)
	if err == nil && unknown == nil && technology.CheckSubscriber != nil {
		err = technology.CheckSubscriber(subscriber)
	}
	if err != nil {
		d.fail("subscriptions", "relay subscriptions set "+s.Name+" --header NAME=VALUE --secrets-file FILE", "nothing is sent to %s: %s", s.Name, oneLine(err))
		return nil
	}
	return subscriber
}

// readTargets notes where subscriptions lead.
func (d *doctor) readTargets(ctx context.Context, examiner *sql.Examiner) {
	all, err := examiner.Subscriptions(ctx)
	if err != nil {
		d.failed("subscriptions", err)
		return
	}
	d.targets = make(map[string]string, len(all))
	for _, s := range all {
		d.targets[s.Name] = relay.ShownTarget(s.Target)
	}
}

// checkTargets has each technology examine the targets that it serves, which are sorted by their
// scheme.
func (d *doctor) checkTargets(ctx context.Context, targets map[string][]subscriptionAt) {
	for _, t := range technologies() {
		var own []subscriptionAt
		for _, prefix := range t.describe(d.config).Prefixes {
			scheme, _, _ := strings.Cut(prefix, ":")
			own = append(own, targets[scheme]...)
		}
		if len(own) > 0 {
			t.checkTargets(ctx, d, own)
		}
	}
}

// checkPatterns names patterns that match nothing, which earlier versions took.
func (d *doctor) checkPatterns(s sql.SubscriptionTarget) {
	for _, pattern := range s.Topics {
		if err := relay.CheckPattern(pattern); err != nil {
			d.fail("subscriptions", "relay subscriptions set "+s.Name+" --topics PATTERNS", "%s: %s", s.Name, oneLine(err))
		}
	}
}

// naming lists names, the first few of many.
func naming(names []string) string {
	if len(names) > namedMost {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:namedMost], ", "), len(names)-namedMost)
	}
	return strings.Join(names, ", ")
}

// checkDestination examines the default destination.
func (d *doctor) checkDestination(ctx context.Context) {
	target := d.config.DefaultDestination
	if target.Kind == relay.TargetNone {
		d.ok("destination", "RELAY_DEFAULT_DESTINATION is not set: a message that names no destination and matches no subscription is rejected")
		return
	}
	t, err := technologyOf(d.config, target.Target)
	if err != nil {
		d.failed("destination", err)
		return
	}
	t.checkDestination(ctx, d, target.Target)
}
