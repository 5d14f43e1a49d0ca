package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

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

// checkBroker connects to the broker, if there is one to connect to.
func checkBroker(d *doctor) {
	if d.config.AMQPURL == "" {
		d.ok("broker", "RELAY_AMQP_URL is not set: rows that name an amqp: target are rejected, and what subscriptions send there waits")
		return
	}
	conn, err := amqp091.DialConfig(string(d.config.AMQPURL), amqp091.Config{Dial: amqp091.DefaultDial(dialLimit)})
	if err != nil {
		d.fail("broker", mendBroker(err, string(d.config.AMQPURL)), "%s: %s", d.config.AMQPURL, oneLine(err))
		return
	}
	product, _ := conn.Properties["product"].(string)
	version, _ := conn.Properties["version"].(string)
	d.ok("broker", "%s %s at %s", product, version, d.config.AMQPURL)
	// What closing says is of no use: all was asked.
	_ = conn.CloseDeadline(time.Now().Add(time.Second))
}

// mendBroker says what helps against a broker that was not reached.
func mendBroker(err error, address string) string {
	uri, parseErr := amqp091.ParseURI(address)
	if parseErr != nil {
		return "correct RELAY_AMQP_URL"
	}
	var answer *amqp091.Error
	switch {
	case errors.As(err, &answer) && answer.Code == amqp091.AccessRefused:
		return fmt.Sprintf("correct user and password in RELAY_AMQP_URL, or rabbitmqctl add_user %s", uri.Username)
	case errors.As(err, &answer) && (answer.Code == amqp091.NotAllowed || answer.Code == amqp091.NotFound):
		return fmt.Sprintf("rabbitmqctl add_vhost %s; rabbitmqctl set_permissions -p %[1]s %s '.*' '.*' '.*'", strconv.Quote(uri.Vhost), uri.Username)
	}
	return fmt.Sprintf("start the broker at %s (rabbitmq-server), or set RELAY_AMQP_URL to where it is", net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)))
}
