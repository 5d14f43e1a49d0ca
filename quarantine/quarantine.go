// Package quarantine keeps rows apart that cannot be read, changed or removed. Each waits alone and for growing times,
// so that nothing else waits for it, and people are told of it: in the row itself, as far as that can be written, in
// relay.quarantine, in the metrics and in the log.
//
// What fails for many rows at once is tried in halves until the culprit stands alone (InHalves). The relay itself goes
// by its memory: what is in quarantine is not tried before its time, and leaves when it was done at last, or when it
// has not been tried for long.
package quarantine

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"relay"
	"relay/sql"
	"relay/trouble"
)

const (
	// sayAgain is how often failures of one operation are logged.
	sayAgain = 10 * time.Second
	// tellMost is how many rows may wait to tell why they are in quarantine.
	tellMost = 500
)

// Config is what a quarantine needs. All of it is required.
type Config struct {
	Store *sql.Store
	// ID names the relay whose quarantine it is.
	ID      relay.ID
	Trouble *trouble.Log
	Log     *slog.Logger
	Metrics *Metrics
}

// Quarantine holds the rows that cannot be read, changed or removed. Its methods may be called at the same time.
type Quarantine struct {
	config Config
	rows
	tellings chan sql.Telling // to be written into rows

	saying sync.Mutex
	said   map[Operation]time.Time // when a failure was logged last
	unsaid map[Operation]int       // failures since
}

// New returns an empty quarantine. It tells people of its rows while Run works.
func New(config Config) *Quarantine {
	return &Quarantine{
		config: config, rows: rows{rows: make(map[Subject]*row)}, tellings: make(chan sql.Telling, tellMost),
		said: make(map[Operation]time.Time), unsaid: make(map[Operation]int),
	}
}

// Isolate puts a row into quarantine for which something failed, or leaves it there for longer; it counts and logs the
// failure.
func (q *Quarantine) Isolate(of Subject, err error) {
	why := sql.Refusal(err)
	q.Hold(of, why)
	q.config.Metrics.isolated.WithLabelValues(string(of.Operation)).Inc()
	q.Refused(of, why)
}

// Refused logs that something failed for a row alone: of many failures the first in each while.
func (q *Quarantine) Refused(of Subject, why string) {
	if failures, say := q.say(of.Operation); say {
		q.config.Log.Error("a row is refused; it is tried again, perhaps with fewer details, and nothing else waits for it",
			"operation", string(of.Operation), "row", of.String(), "why", why, "failures", failures)
	}
}

// Deleted tells people that a message was deleted before it could be read. All such messages share one entry.
func (q *Quarantine) Deleted(id relay.ID) {
	q.Hold(Subject{Operation: deleted}, "message "+id.String()+" was deleted before it could be read")
	q.config.Metrics.isolated.WithLabelValues(string(deleted)).Inc()
	if n, say := q.say(deleted); say {
		q.config.Log.Warn("messages are deleted before they can be delivered, by the transaction that inserts them or right after it; "+
			"they never are: leave rows in relay.outbox, which the relay removes after RELAY_RETENTION", "last", id.String(), "messages", n)
	}
}

// say reports whether a failure is to be logged, and how many there were since the last that was.
func (q *Quarantine) say(op Operation) (failures int, say bool) {
	q.saying.Lock()
	defer q.saying.Unlock()
	q.unsaid[op]++
	if at, before := q.said[op]; before && time.Since(at) < sayAgain {
		return 0, false
	}
	failures = q.unsaid[op]
	q.said[op], q.unsaid[op] = time.Now(), 0
	return failures, true
}

// EachAlone does something for all messages that are not in quarantine for the operation, lets out those for which it
// is done, and puts those into quarantine for which it fails: it returns these. An error is that of InHalves.
func (q *Quarantine) EachAlone(ctx context.Context, op Operation, ids []relay.ID, do func([]relay.ID) error) (culprits []relay.ID, err error) {
	free := make([]relay.ID, 0, len(ids))
	for _, id := range ids {
		if !q.Waits(Message(op, id)) {
			free = append(free, id)
		}
	}
	err = InHalves(ctx, free, func(some []relay.ID) error {
		err := do(some)
		if err != nil || !q.Has(op) {
			return err
		}
		for _, id := range some {
			q.Free(Message(op, id))
		}
		return nil
	}, func(id relay.ID, why error) {
		culprits = append(culprits, id)
		q.Isolate(Message(op, id), why)
		if words := consequences[op]; words != "" {
			q.Tell(sql.Telling{ID: relay.DeliveryID{Message: id}, Why: words + ": " + sql.Refusal(why), Ended: op == RemoveRow})
		}
	})
	return culprits, err
}
