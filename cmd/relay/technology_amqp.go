package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"relay"
	"relay/notify"
	"relay/notify/amqp"
	"relay/sql"
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
	return link{destination: d, run: d.Run, state: d.State, report: func(r *sql.Report) { r.Broker = brokerReport(d) }}, nil
}

// brokerReport is how the connection to the broker stands.
func brokerReport(d *amqp.Destination) *sql.BrokerReport {
	up, text := d.State()
	r := &sql.BrokerReport{Up: up, Text: text}
	for _, t := range d.Troubles() {
		r.Troubles = append(r.Troubles, sql.BrokerTrouble{Address: t.Address, Why: t.Why, Mend: t.Mend})
	}
	return r
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

// checkBroker connects to each address of the broker, if there is one to connect to. Of a running relay's broker doctor
// knows no password, and tells what that relay says.
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
		if t := e.Trouble; t != nil {
			d.brokerTrouble(answers, t.Address, t.Why, t.Mend)
		} else {
			d.ok("broker", "%s at %s", e.Broker, e.Address)
		}
	}
}

// brokerTrouble tells why one address of the broker gives no connection, which is no fault where another one does.
func (d *doctor) brokerTrouble(answers bool, address, why, mend string) {
	if answers {
		d.warn("broker", mend, "%s: %s; another address answers", address, why)
	} else {
		d.fail("broker", mend, "%s: %s", address, why)
	}
}

// checkBrokers tells what the running relays say about their broker.
func checkBrokers(d *doctor) {
	for _, r := range d.relays {
		broker := r.Report.Broker
		switch {
		case broker == nil:
			continue
		case broker.Up:
			d.ok("broker", "%s: %s at %s", r.Name, broker.Text, r.Report.Settings["RELAY_AMQP_URL"])
		case strings.Contains(broker.Text, "blocked"):
			d.fail("broker", "free memory or disk at the broker: rabbitmqctl status names the alarm", "%s: %s", r.Name, broker.Text)
		case len(broker.Troubles) == 0:
			d.fail("broker", "wait: the relay connects by itself", "%s: %s", r.Name, broker.Text)
		}
		for _, t := range broker.Troubles {
			d.brokerTrouble(broker.Up, r.Name+" has no connection to "+t.Address, t.Why, thenStart(t.Mend))
		}
	}
}
