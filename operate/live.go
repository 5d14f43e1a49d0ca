package operate

import (
	"slices"
	"strings"
	"time"

	"relay/sql"
)

// Live is how one relay stands, or several.
type Live struct {
	InFlight      int   // messages in memory
	InFlightBytes int64 // of these
	// Circuits are the subscriptions whose circuits are open, and Targets the others that are, named as they may be
	// shown.
	Circuits, Targets []OpenCircuit
	Conditions        []Condition
}

// OpenCircuit is a destination that is down.
type OpenCircuit struct {
	Name  string
	Since time.Time // when it opened; zero: that is not known yet
}

// since is when the circuit opened, as views have it.
func (c OpenCircuit) since() *time.Time {
	if c.Since.IsZero() {
		return nil
	}
	at := c.Since.Truncate(time.Second).UTC()
	return &at
}

// Condition is how one part of the relay is.
type Condition struct {
	Name    string `json:"name" doc:"As stream, database, shards or broker."`
	Well    bool   `json:"well"`
	Decides bool   `json:"decides" doc:"Readiness depends on it."`
	Text    string `json:"text" doc:"In English."`
	Fix     string `json:"fix,omitempty" doc:"The command that mends it."`
	// State and Values say the same as Text.
	State  State             `json:"state" enum:"valid,answers,starting,not_connected,no_answer,known,copy,owns,waits,no_lease,writes,closed,open,free,held,streams,no_stream,connected,no_broker,failed" doc:"What Text says, as a name."`
	Values map[string]string `json:"values,omitempty" doc:"The numbers and names of Text."`
}

// AddCircuit notes a circuit that is open. No subscription's name holds a colon or a slash; behind a slash stands an
// instance, which may hold a colon. Of several under one name the one counts that opened first.
func (l *Live) AddCircuit(name string, since time.Time) {
	to := &l.Circuits
	subscription, _, _ := strings.Cut(name, "/")
	if strings.Contains(subscription, ":") {
		to, subscription = &l.Targets, name
	}
	i := slices.IndexFunc(*to, func(c OpenCircuit) bool { return c.Name == subscription })
	switch {
	case i < 0:
		*to = append(*to, OpenCircuit{subscription, since})
	case !since.IsZero() && (since.Before((*to)[i].Since) || (*to)[i].Since.IsZero()):
		(*to)[i].Since = since
	}
}

// reported is how the relays on a database say that they stand.
func reported(relays []sql.RunningRelay) (live Live) {
	for _, r := range relays {
		if r.Report == nil {
			continue
		}
		live.InFlight += r.Report.InFlight
		for _, c := range r.Report.Circuits {
			live.AddCircuit(c.Name, c.Since)
		}
		if bell := r.Report.Doorbell; bell != nil && bell.Stream && !bell.Heard {
			live.Conditions = append(live.Conditions, Condition{Name: "stream", State: StateNoStream, Text: bell.Why, Fix: bell.Mend})
		}
		if broker := r.Report.Broker; broker != nil && !broker.Up {
			live.Conditions = append(live.Conditions, Condition{Name: "broker", State: StateNoBroker, Text: broker.Text, Fix: "relay doctor"})
		}
		if r.Report.Trouble != "" {
			live.Conditions = append(live.Conditions, Condition{Name: r.Name, State: StateFailed, Text: r.Report.Trouble, Fix: "relay doctor"})
		}
	}
	return live
}
