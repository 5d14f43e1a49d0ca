package main

import (
	"strings"

	"relay/notify"
)

// checkRows says what RELAY_ROW_DESTINATIONS means together with the other variables. That
// it can be read was judged with the configuration.
func (d *doctor) checkRows() {
	rows, err := notify.ParseRowTargets(d.config.RowDestinations, registry(d.config))
	if err != nil {
		d.failed("rows", err)
		return
	}
	var anywhere, within []string
	for _, t := range technologies() {
		if text := t.rowsAnywhere(d.config); text != "" {
			anywhere = append(anywhere, text)
		}
		within = append(within, t.rowsWithin(d.config))
	}
	switch {
	case rows.None():
		d.ok("rows", "RELAY_ROW_DESTINATIONS is none: a row that names a destination, also a subscription, is rejected, and relay subscriptions test sends such a row")
	case rows != nil:
		d.ok("rows", "a row may name a subscription, or send to %s; %s", rows, strings.Join(within, ", "))
	default:
		d.ok("rows", "RELAY_ROW_DESTINATIONS is not set: a row may name a subscription, or send to %s", strings.Join(anywhere, ", and to "))
	}
}
