package sql

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// ReportStands is how long a report tells how a relay stands: each relay renews its report more often.
const ReportStands = 15 * time.Second

// Report is what a running relay says about itself. It holds no secret.
type Report struct {
	// Settings are the variables that the relay runs with, as people may see them. One that is not set and has
	// no default is absent.
	Settings map[string]string `json:"settings"`
	// Unknown are RELAY_ variables of its environment that no relay knows, with the name that may be meant.
	Unknown map[string]string `json:"unknown_variables,omitempty"`
	// Doorbell is how the relay hears of rows. Nil: by sweeps alone (RELAY_CAPTURE=poll).
	Doorbell *DoorbellReport `json:"doorbell,omitempty"`
	// Broker is its connection to RabbitMQ. Nil: RELAY_AMQP_URL is not set.
	Broker *BrokerReport `json:"broker,omitempty"`
	// Circuits are the destinations that are down, at most ReportMost; OpenCircuits is how many there are.
	Circuits     []CircuitReport `json:"circuits,omitempty"`
	OpenCircuits int             `json:"open_circuits"`
	// HeldBack says in words what waits although its destination is not down, and why, at most ReportMost.
	HeldBack []string `json:"held_back,omitempty"`
	// Quarantined is how many rows cannot be read, changed or removed at present; relay.quarantine names them.
	Quarantined int `json:"quarantined"`
	// InFlight are messages and deliveries in memory.
	InFlight int `json:"in_flight"`
	// Trouble is the last failure of something that the relay tries again. Empty: nothing fails.
	Trouble string `json:"trouble,omitempty"`
}

// ReportMost bounds each list of a report.
const ReportMost = 20

// DoorbellReport is how a relay hears of committed rows.
type DoorbellReport struct {
	Heard bool `json:"heard"` // commits are heard as they happen
	// Stream says that this relay reads the slot itself; the others are told by it.
	Stream bool `json:"stream"`
	// Why says why commits are not heard, Mend is the command that mends it. Empty: they are heard, or no
	// command is known.
	Why  string `json:"why,omitempty"`
	Mend string `json:"mend,omitempty"`
}

// BrokerReport is the connection to RabbitMQ.
type BrokerReport struct {
	Up   bool   `json:"up"`
	Text string `json:"text"` // in words
	// Troubles are of the addresses that gave no connection when the relay last looked for one.
	Troubles []BrokerTrouble `json:"troubles,omitempty"`
}

// BrokerTrouble is why an address of RabbitMQ gives no connection.
type BrokerTrouble struct {
	Address string `json:"address"` // without user and password
	Why     string `json:"why"`
	Mend    string `json:"mend"`
}

// CircuitReport is a destination that is down.
type CircuitReport struct {
	Name  string    `json:"name"`
	ByRow bool      `json:"named_by_row"` // a row named it, no operator
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// Tell writes what a relay says about itself into its row in relay.instance. It reports whether the relay has one:
// a relay that has not renewed its leases yet, or has ended, has none.
func (s *Store) Tell(ctx context.Context, id relay.ID, report Report) (told bool, err error) {
	report.clean()
	document, err := json.Marshal(report)
	if err != nil {
		return false, fmt.Errorf("report how the relay stands: %w", err)
	}
	const statement = `update relay.instance set report = $2, reported_at = clock_timestamp() where id = $1`
	tag, err := s.changes.Exec(ctx, statement, [16]byte(id), string(document))
	if err != nil {
		return false, fmt.Errorf("report how the relay stands: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// clean takes NUL, which jsonb refuses, out of the texts that may come from other programs.
func (r *Report) clean() {
	r.Trouble = text(r.Trouble)
	if r.Doorbell != nil {
		r.Doorbell.Why, r.Doorbell.Mend = text(r.Doorbell.Why), text(r.Doorbell.Mend)
	}
	if r.Broker != nil {
		r.Broker.Text = text(r.Broker.Text)
		for i, t := range r.Broker.Troubles {
			r.Broker.Troubles[i] = BrokerTrouble{Address: text(t.Address), Why: text(t.Why), Mend: text(t.Mend)}
		}
	}
	for i := range r.Circuits {
		r.Circuits[i].Name, r.Circuits[i].Why = text(r.Circuits[i].Name), text(r.Circuits[i].Why)
	}
	for i := range r.HeldBack {
		r.HeldBack[i] = text(r.HeldBack[i])
	}
}

// scanReport reads a report as the statements here return it: the document, and its age in seconds. Nil: the relay
// has never told, or long ago, or in a way that this program cannot read.
func scanReport(document []byte, age *float64) *Report {
	if document == nil || age == nil || *age > ReportStands.Seconds() {
		return nil
	}
	report := new(Report)
	if json.Unmarshal(document, report) != nil {
		return nil
	}
	return report
}

// ReportingRelay is a running relay with what it says about itself.
type ReportingRelay struct {
	Name, Version string
	Report        Report
}

// Reports lists what the running relays say about themselves: first the one that holds the slot, then the others,
// the longest running first; at most a hundred.
func (e *Examiner) Reports(ctx context.Context) ([]ReportingRelay, error) {
	const statement = `
	select name, version, report, extract(epoch from clock_timestamp() - reported_at)::float8
	from relay.instance where report is not null order by report -> 'doorbell' -> 'stream' = 'true' desc nulls last, started_at, id limit 100`
	rows, err := e.Conn.Query(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("read the relays' reports: %w", denial(err))
	}
	var list []ReportingRelay
	var r ReportingRelay
	var document []byte
	var age *float64
	_, err = pgx.ForEachRow(rows, []any{&r.Name, &r.Version, &document, &age}, func() error {
		if report := scanReport(document, age); report != nil {
			r.Report = *report
			list = append(list, r)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the relays' reports: %w", denial(err))
	}
	return list, nil
}
