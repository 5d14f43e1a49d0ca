package api

import (
	"time"

	"relay/operate"
)

type polledInput struct {
	Polled
}

// Overview is how the whole system stands.
type Overview struct {
	FirstRun      bool                `json:"first_run" doc:"There was never a message."`
	Needs         []operate.Need      `json:"needs" doc:"What needs a person, the worst first."`
	Traffic       operate.Traffic     `json:"traffic"`
	Messages      operate.Messages    `json:"messages"`
	Subscriptions []Subscription      `json:"subscriptions" doc:"Those in trouble first."`
	Transport     []operate.Condition `json:"transport" doc:"How the relay learns of rows and whether its parts are well."`
	Relays        []RunningRelay      `json:"relays"`
	Database      Database            `json:"database"`
	RunningJobs   int                 `json:"running_jobs"`
	AsOf          time.Time           `json:"as_of"`
	CountedAt     time.Time           `json:"counted_at" doc:"When what stands was counted. Several requests share one count."`
	TookMS        float64             `json:"took_ms"`
}

// RunningRelay is one process of the relay.
type RunningRelay struct {
	Name      string    `json:"name"`
	Version   string    `json:"version,omitempty"`
	This      bool      `json:"this" doc:"The one that answers."`
	Streaming bool      `json:"streaming" doc:"It holds the replication slot."`
	Shards    int       `json:"shards"`
	Expired   int       `json:"expired_shards" doc:"Shards that it does not renew, and no other relay has taken over yet."`
	Silent    bool      `json:"silent" doc:"It has died, or does not reach the database, for longer than a lease lasts: it does not run."`
	SeenAt    time.Time `json:"seen_at"`
}

// Database is the database as the relay sees it.
type Database struct {
	Name      string  `json:"name"`
	SkewMS    float64 `json:"skew_ms" doc:"The database's clock minus the relay's."`
	Reachable bool    `json:"reachable"`
}
