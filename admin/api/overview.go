package api

import "time"

type polledInput struct {
	Polled
}

// Overview is how the whole system stands.
type Overview struct {
	FirstRun      bool           `json:"first_run" doc:"There was never a message."`
	Needs         []Need         `json:"needs" doc:"What needs a person, the worst first."`
	Traffic       Traffic        `json:"traffic"`
	Messages      Messages       `json:"messages"`
	Subscriptions []Subscription `json:"subscriptions" doc:"Those in trouble first."`
	Transport     []Condition    `json:"transport" doc:"How the relay learns of rows and whether its parts are well."`
	Relays        []RunningRelay `json:"relays"`
	Database      Database       `json:"database"`
	RunningJobs   int            `json:"running_jobs"`
	AsOf          time.Time      `json:"as_of"`
	CountedAt     time.Time      `json:"counted_at" doc:"When what stands was counted. Several requests share one count."`
	TookMS        float64        `json:"took_ms"`
}

// Need is something that needs a person.
type Need struct {
	Kind         string     `json:"kind" enum:"no_relay,not_well,dead,rejected,keys_blocked,circuit_open" doc:"What it is."`
	Severity     string     `json:"severity" enum:"critical,warning"`
	Count        *Count     `json:"count,omitempty"`
	Since        *time.Time `json:"since,omitempty"`
	Subscription string     `json:"subscription,omitempty"`
	Cause        string     `json:"cause,omitempty"`
	Topic        string     `json:"topic,omitempty"`
	Target       string     `json:"target,omitempty" doc:"Without what may be secret."`
	Behind       *Count     `json:"behind,omitempty" doc:"Of blocked keys: the messages behind them."`
	Text         string     `json:"text" doc:"A sentence in English."`
	Fix          string     `json:"fix,omitempty" doc:"The command that mends it."`
}

// Traffic is what goes through.
type Traffic struct {
	ReceivedPerSecond float64  `json:"received_per_second" doc:"Over the last 5 minutes, here and below."`
	AcceptedPerSecond float64  `json:"accepted_per_second"`
	FailedPerSecond   float64  `json:"failed_per_second"`
	P50MS             *float64 `json:"p50_ms,omitempty" doc:"From due to accepted."`
	P99MS             *float64 `json:"p99_ms,omitempty"`
	ReceivedSpark     []int64  `json:"received_spark" doc:"Per minute over the last hour, the oldest first; 60 values."`
	AcceptedSpark     []int64  `json:"accepted_spark" doc:"The same of deliveries."`
	InFlight          int      `json:"in_flight" doc:"Messages in this relay's memory."`
	InFlightBytes     int64    `json:"in_flight_bytes"`
}

// Messages counts messages by status.
type Messages struct {
	Pending   Count      `json:"pending" doc:"Not taken up, and due."`
	Delayed   Count      `json:"delayed" doc:"Not taken up, for later."`
	Open      Count      `json:"open" doc:"In progress."`
	Dead      Count      `json:"dead"`
	Rejected  Count      `json:"rejected"`
	Done      Count      `json:"done"`
	Cancelled *Count     `json:"cancelled,omitempty" doc:"Absent in a table too large to be counted."`
	Oldest    *time.Time `json:"oldest,omitempty" doc:"Creation of the oldest message that is neither delayed nor ended."`
	NextDue   *time.Time `json:"next_due,omitempty" doc:"The first delayed message or retry."`
}

// Condition is how one part of the relay is.
type Condition struct {
	Name    string `json:"name" doc:"As stream, database, shards or broker."`
	Well    bool   `json:"well"`
	Decides bool   `json:"decides" doc:"Readiness depends on it."`
	Text    string `json:"text" doc:"In English."`
	Fix     string `json:"fix,omitempty" doc:"The command that mends it."`
}

// RunningRelay is one process of the relay.
type RunningRelay struct {
	Name      string    `json:"name"`
	Version   string    `json:"version,omitempty"`
	This      bool      `json:"this" doc:"The one that answers."`
	Streaming bool      `json:"streaming" doc:"It holds the replication slot."`
	Shards    int       `json:"shards"`
	Expired   int       `json:"expired_shards" doc:"It fell silent, and no other relay has taken them over yet."`
	SeenAt    time.Time `json:"seen_at"`
}

// Database is the database as the relay sees it.
type Database struct {
	Name      string  `json:"name"`
	SkewMS    float64 `json:"skew_ms" doc:"The database's clock minus the relay's."`
	Reachable bool    `json:"reachable"`
}
