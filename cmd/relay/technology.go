package main

import (
	"context"

	"relay"
	"relay/notify"
	"relay/sql"
)

// technology is what the commands know of one way by which messages travel. A new one gets a
// package below notify and an entry in technologies; nothing else asks which one a target has.
// A nil function has nothing to do.
type technology struct {
	// describe returns what routing and dispatching know of it, still without a destination.
	describe func(Config) notify.Technology
	// connect makes its destination, unless something is Missing.
	connect func(*service) (link, error)
	// probe names the line of /readyz about its link. Empty means that there is none.
	probe string
	// checkDestination examines RELAY_DEFAULT_DESTINATION.
	checkDestination func(context.Context, *doctor, relay.Target)
	// checkTargets examines the targets of subscriptions that are not paused.
	checkTargets func(context.Context, *doctor, []subscriptionAt)
	// checkTable examines what the database holds for it.
	checkTable func(context.Context, *doctor, *sql.Examiner)
	// checkRelay examines what all its targets need.
	checkRelay func(context.Context, *doctor)
	// rowsAnywhere says where rows may send if no setting restricts them, rowsWithin what holds
	// beside a setting. Empty means that nothing can be sent.
	rowsAnywhere, rowsWithin func(Config) string
}

// link is a technology at work.
type link struct {
	destination notify.Destination
	gone        func(context.Context, *relay.Delivery) bool
	// run works until ctx ends. Nil means that there is nothing to run.
	run func(context.Context) error
	// close ends what is left when the last attempt has ended. It is nil if nothing is left.
	close func()
	// state tells whether messages are taken, and in words how it stands.
	state func() (up bool, text string)
	// report adds what people are told of it. Nil means that they are told nothing.
	report func(*sql.Report)
}

// subscriptionAt is a subscription with its target, and the subscriber that deliveries have, with
// values in place of references.
type subscriptionAt struct {
	name       string
	target     relay.Target
	subscriber *relay.Subscriber
}

// technologies returns all of them.
func technologies() []technology { return []technology{overHTTP(), overAMQP()} }

// registry describes them all under a configuration.
func registry(c Config) notify.Technologies {
	var all []notify.Technology
	for _, t := range technologies() {
		all = append(all, t.describe(c))
	}
	return notify.Register(all...)
}

// technologyOf returns the technology of a target that relay.ParseTarget has accepted and that is
// no subscription's name.
func technologyOf(c Config, target relay.Target) (technology, error) {
	found, err := registry(c).Of(target)
	if err != nil {
		return technology{}, err
	}
	for _, t := range technologies() {
		if t.describe(c).Name == found.Name {
			return t, nil
		}
	}
	return technology{}, err
}
