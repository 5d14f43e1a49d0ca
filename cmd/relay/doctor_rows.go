package main

import (
	"strings"

	"relay/notify"
)

// checkRows says what RELAY_ROW_DESTINATIONS means together with the other variables. That
// it can be read was judged with the configuration.
func (d *doctor) checkRows() {
	rows, err := notify.ParseRowTargets(d.config.RowDestinations)
	if err != nil {
		d.failed("rows", err)
		return
	}
	addresses := "at public addresses alone"
	if allowed := strings.TrimSpace(d.config.EgressAllow); allowed != "" {
		addresses = "at public addresses and those of RELAY_EGRESS_ALLOW (" + allowed + ")"
	}
	switch {
	case rows.None():
		d.ok("rows", "RELAY_ROW_DESTINATIONS is none: a row that names a destination, also a subscription, is rejected, and relay subscriptions test sends such a row")
	case rows != nil:
		d.ok("rows", "a row may name a subscription, or send to %s; over HTTP %s, to the broker only what exists", rows, addresses)
	case d.config.AMQPURL == "":
		d.ok("rows", "RELAY_ROW_DESTINATIONS is not set: a row may name a subscription, or send to every URL %s", addresses)
	default:
		d.ok("rows", "RELAY_ROW_DESTINATIONS is not set: a row may name a subscription, or send to every URL %s, and to every exchange and queue of the broker that exists", addresses)
	}
}
