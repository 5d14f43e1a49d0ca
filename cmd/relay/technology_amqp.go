package main

import (
	"context"
	"fmt"
	"slices"

	"relay"
	"relay/notify"
	"relay/notify/amqp"
)

// overAMQP is the technology of amqp: targets.
func overAMQP() technology {
	return technology{
		describe: func(c Config) notify.Technology { return amqp.Technology(c.AMQPURL != "") },
		connect:  connectAMQP,
		probe:    "broker",

		checkDestination: func(_ context.Context, d *doctor, target relay.Target) {
			d.ok("destination", "%s, on the broker", target.Redacted())
		},
		checkTargets: checkBrokersTargets,
		checkRelay:   checkBroker,

		rowsAnywhere: func(c Config) string {
			if c.AMQPURL == "" {
				return ""
			}
			return "every exchange and queue of the broker that exists"
		},
		rowsWithin: func(Config) string { return "to the broker only what exists" },
	}
}

// connectAMQP makes the destination of AMQP, which connects to the broker once it runs.
func connectAMQP(s *service) (link, error) {
	d, err := amqp.New(amqp.Config{
		URL: string(s.config.AMQPURL), Allowed: s.mayAttempt, Log: s.log, OnUp: func() { s.dispatcher.UpTechnology(amqp.Name) },
		Replies: amqp.Replies{Queue: s.ackQueue, Key: s.ackKey, Wanted: func() bool { return s.router.WantsAcksBy(amqp.Name) }, Taker: s},
	})
	if err != nil {
		return link{}, fmt.Errorf("RELAY_AMQP_URL: %w", err)
	}
	return link{destination: d, run: d.Run, state: d.State}, nil
}

// checkBrokersTargets looks whether there is a broker for the subscriptions that lead there.
func checkBrokersTargets(_ context.Context, d *doctor, subscriptions []subscriptionAt) {
	if d.config.AMQPURL != "" {
		return
	}
	var names []string
	for _, s := range subscriptions {
		names = append(names, s.name)
	}
	d.fail("subscriptions", "set RELAY_AMQP_URL for every relay", "what is for %s waits: their targets are on a broker, and RELAY_AMQP_URL is not set", naming(names))
}

// checkBroker connects to each address of the broker, if there is one to connect to.
func checkBroker(ctx context.Context, d *doctor) {
	if d.config.AMQPURL == "" {
		d.ok("broker", "RELAY_AMQP_URL is not set: rows that name an amqp: target are rejected, and what subscriptions send there waits")
		return
	}
	all, err := amqp.Examine(ctx, string(d.config.AMQPURL))
	if err != nil {
		d.fail("broker", "correct RELAY_AMQP_URL", "%s", oneLine(err))
		return
	}
	answers := slices.ContainsFunc(all, func(e amqp.Examined) bool { return e.Trouble == nil })
	for _, e := range all {
		switch {
		case e.Trouble == nil:
			d.ok("broker", "%s at %s", e.Broker, e.Address)
		case answers:
			d.warn("broker", e.Trouble.Mend, "%s: %s; another address answers", e.Address, e.Trouble.Why)
		default:
			d.fail("broker", e.Trouble.Mend, "%s: %s", e.Address, e.Trouble.Why)
		}
	}
}
