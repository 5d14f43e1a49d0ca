package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

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
	d.fail("subscriptions", forEvery("RELAY_AMQP_URL to the broker's address"), "what is for %s waits: their targets are on a broker, and RELAY_AMQP_URL is not set", naming(names))
}

// checkBroker connects to each address of the broker, if there is one to connect to. Of a running relay's broker doctor knows no
// password, and tells what that relay says.
func checkBroker(ctx context.Context, d *doctor) {
	if len(d.relays) > 0 && d.config.AMQPURL != "" {
		checkBrokers(d)
		return
	}
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

// checkBrokers tells what the running relays say about their broker.
func checkBrokers(d *doctor) {
	for _, r := range d.relays {
		broker, address := r.Report.Broker, r.Report.Settings["RELAY_AMQP_URL"]
		switch {
		case broker == nil:
		case broker.Up:
			d.ok("broker", "%s: %s at %s", r.Name, broker.Text, address)
		default:
			d.fail("broker", mendBrokerText(broker.Text, address), "%s has no connection to %s: %s", r.Name, address, broker.Text)
		}
	}
}

// mendBrokerText says what helps against what a relay says about its broker.
func mendBrokerText(text, address string) string {
	switch {
	case strings.Contains(text, "403"), strings.Contains(text, "not allowed"):
		return "set user and password in RELAY_AMQP_URL" + startAgain + "; or rabbitmqctl change_password USER SECRET"
	case strings.Contains(text, "vhost"):
		return "rabbitmqctl add_vhost VHOST, then rabbitmqctl set_permissions -p VHOST USER '.*' '.*' '.*'"
	case strings.Contains(text, "blocked"):
		return "free memory or disk at the broker: rabbitmqctl status names the alarm"
	}
	if u, err := url.Parse(address); err == nil {
		address = u.Host
	}
	return "start the broker at " + address + "; or set RELAY_AMQP_URL to where it is" + startAgain
}
