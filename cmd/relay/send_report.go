package main

import (
	"fmt"
	"strings"
	"time"

	"relay"
	"relay/sql"
)

// sent is what relay send prints of a message.
type sent struct {
	ID string `json:"id"`
	// Status and the rest are there only with --wait.
	Status     relay.MessageStatus `json:"status,omitempty"`
	Error      string              `json:"error,omitempty"`
	Deliveries []sentDelivery      `json:"deliveries,omitempty"`
}

type sentDelivery struct {
	Subscription string               `json:"subscription"`
	Target       string               `json:"target"` // as relay.ShownTarget has it
	Status       relay.DeliveryStatus `json:"status"`
	Reason       string               `json:"reason,omitempty"`
	Attempts     int                  `json:"attempts"`
	Code         int                  `json:"response_code,omitempty"`
	Error        string               `json:"error,omitempty"`
}

func newSent(id relay.ID, p sql.Progress) sent {
	s := sent{ID: id.String(), Status: p.Status, Error: p.Error}
	for _, d := range p.Deliveries {
		s.Deliveries = append(s.Deliveries, sentDelivery{
			Subscription: d.Subscription, Target: relay.ShownTarget(d.Target), Status: d.Status, Reason: d.Reason,
			Attempts: d.Attempts, Code: d.Code, Error: d.Error,
		})
	}
	return s
}

// text is the id, or, where the id was printed before, one line for each delivery.
func (s sent) text(waited time.Duration) string {
	if waited == 0 {
		return s.ID + "\n"
	}
	var b strings.Builder
	for _, d := range s.Deliveries {
		fmt.Fprintf(&b, "%s, %s: %s", d.Subscription, d.Target, d.Status)
		if d.Reason != "" {
			fmt.Fprintf(&b, " (%s)", d.Reason)
		}
		fmt.Fprintf(&b, ", attempts: %d", d.Attempts)
		if d.Error != "" {
			fmt.Fprintf(&b, ", %s", d.Error)
		}
		b.WriteByte('\n')
	}
	if s.Status == relay.MessageDone {
		b.WriteString("done\n")
	}
	return b.String()
}

// sentence says how a message that is not done stands.
func (s sent) sentence(waited time.Duration) string {
	text := string(s.Status)
	if s.Status == relay.MessagePending || s.Status == relay.MessageOpen {
		text = fmt.Sprintf("still %s after %s", s.Status, waited)
	}
	if s.Error != "" {
		text += ": " + s.Error
	}
	return text
}
