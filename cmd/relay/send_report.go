package main

import (
	"fmt"
	"strings"
	"time"

	"relay"
	"relay/operate"
)

// sentText is one line for each delivery of a message, and one that says that it is done.
func sentText(s operate.Sent) string {
	text := sentDeliveries(s)
	if s.Status == relay.MessageDone {
		text += "done\n"
	}
	return text
}

// sentDeliveries is one line for each delivery of a message.
func sentDeliveries(s operate.Sent) string {
	var b strings.Builder
	for _, d := range s.Deliveries {
		fmt.Fprintln(&b, visible(deliveryText(d)))
	}
	return b.String()
}

// sentStatus says how a message stands that was waited for.
func sentStatus(s operate.Sent, waited time.Duration) string {
	text := string(s.Status)
	if s.GoesOn() {
		text = fmt.Sprintf("still %s after %s", s.Status, waited)
	}
	if s.LastError != "" {
		text += ": " + causeFirst(s.LastError)
	}
	return text
}
