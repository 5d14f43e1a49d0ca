package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"relay"
	"relay/sql"
)

// operation is what cannot be done with a row in quarantine.
type operation string

// The operations. They are labels of metrics and stand in relay.quarantine.
const (
	writeOutcome  operation = "write_outcome" // of an attempt, which is not made again meanwhile
	readRow       operation = "read"          // a message or a delivery
	removeRow     operation = "remove"        // a message whose retention is over
	changeByJob   operation = "job"           // a message that a person's job was to change
	endOrphan     operation = "end_orphan"    // a delivery whose message has ended
	takeUpAgain   operation = "take_up_again" // a message that was rejected and has a route now
	dropAck       operation = "drop_ack"      // an acknowledgement that has nothing to be applied to
	takeAck       operation = "acknowledge"   // a message whose consumer acknowledges while another session has locked it
	stampFinished operation = "note_the_end"  // of a message that a person has ended
	makeDue       operation = "make_due"      // a delayed message whose time has come
)

var operations = []operation{
	writeOutcome, readRow, removeRow, changeByJob, endOrphan, takeUpAgain, dropAck, takeAck, stampFinished, makeDue, deletedEarly,
}

const (
	// quarantineFirst is how long a row stays in quarantine after the first failure. Each further one doubles it.
	quarantineFirst = time.Second
	// reportEvery is how often people are told what is in quarantine.
	reportEvery = time.Second
	// toldAgain is how often people are told of the same row again while it stays.
	toldAgain = 10 * time.Second
	// reportMost is how many rows they are told of.
	reportMost = 1000
	// tellMost is how many rows may wait to tell why they are in quarantine.
	tellMost = 500
	// tellGather is how long they wait for company.
	tellGather = 500 * time.Millisecond
	// quarantineMost bounds how many rows are remembered. What exceeds it is tried again as if for the first time.
	quarantineMost = 20_000
)

// longest is how long rows of each operation stay in quarantine at most; those that are not named, 5 minutes.
var longest = map[operation]time.Duration{writeOutcome: 30 * time.Second, readRow: 30 * time.Second, makeDue: 30 * time.Second}

const longestOthers = 5 * time.Minute

// subject names a row in quarantine, or a few that belong together.
type subject struct {
	operation operation
	id        relay.DeliveryID // a message has no subscription
	key       string           // of a line, or whose messages are read
}

// quarantined is a row in quarantine.
type quarantined struct {
	why     string
	tries   int
	since   time.Time
	until   time.Time // when it is tried again
	changed bool      // since people were told last, as far as it matters to them
	told    bool      // people were told of it
	toldAt  time.Time // when that was
}

// quarantine holds the rows that cannot be read, changed or removed, each alone and for growing times, so that nothing
// else waits for them.
type quarantine struct {
	mu     sync.Mutex
	rows   map[subject]*quarantined
	left   []sql.Quarantined // rows that people were told of, and are to be told that they have left
	unsaid map[operation]int // failures since one was logged
	ever   bool              // people were told of some row
	said   map[operation]time.Time
}

// failed notes that something failed once more for a row, and returns how long it should wait.
func (q *quarantine) failed(of subject, why string) (wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	row := q.rows[of]
	if row == nil {
		if len(q.rows) >= quarantineMost {
			return quarantineFirst
		}
		if q.rows == nil {
			q.rows = make(map[subject]*quarantined)
		}
		row = &quarantined{since: now}
		q.rows[of] = row
	}
	changed := row.why != why
	row.why = why
	wait = quarantineFirst << min(row.tries, 16)
	row.tries++
	row.changed = row.changed || changed || now.Sub(row.toldAt) > toldAgain
	most := longest[of.operation]
	if most == 0 {
		most = longestOthers
	}
	wait = min(wait, most)
	row.until = now.Add(wait)
	return wait
}

// ended lets a row out.
func (q *quarantine) ended(of ...subject) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range of {
		q.leave(s)
	}
}

// endedMessages lets messages out.
func (q *quarantine) endedMessages(op operation, ids []relay.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.rows) == 0 {
		return
	}
	for _, id := range ids {
		q.leave(ofMessage(op, id))
	}
}

// leave lets a row out. The caller holds the mutex.
func (q *quarantine) leave(s subject) {
	row := q.rows[s]
	if row == nil {
		return
	}
	if row.told {
		q.left = append(q.left, sql.Quarantined{Operation: string(s.operation), Subject: s.String()})
	}
	delete(q.rows, s)
}

// total returns how many rows are in quarantine.
func (q *quarantine) total() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.rows)
}

// waits reports whether a row is not to be tried yet.
func (q *quarantine) waits(of subject) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	row := q.rows[of]
	return row != nil && time.Now().Before(row.until)
}

// waiting lists the messages that are not to be tried yet for an operation.
func (q *quarantine) waiting(op operation) (ids []relay.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for s, row := range q.rows {
		if s.operation == op && now.Before(row.until) {
			ids = append(ids, s.id.Message)
		}
	}
	return ids
}

// size is how many rows are there for an operation.
func (q *quarantine) size(op operation) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.rows) == 0 {
		return 0
	}
	for s := range q.rows {
		if s.operation == op {
			n++
		}
	}
	return n
}

// forget lets out what has not been tried for long: it is done, or gone.
func (q *quarantine) forget(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for s, row := range q.rows {
		if s.operation != writeOutcome && now.Sub(row.until) > longestOthers {
			q.leave(s)
		}
	}
}

// report returns what people have not been told yet: rows that came or failed again, and rows that left.
func (q *quarantine) report(now time.Time) (in, out []sql.Quarantined) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for s, row := range q.rows {
		if len(in) == reportMost {
			break
		}
		if row.changed {
			row.changed, row.told, row.toldAt, q.ever = false, true, now, true
			in = append(in, sql.Quarantined{
				Operation: string(s.operation), Subject: s.String(), Message: s.id.Message, Error: row.why, Tries: row.tries, Age: now.Sub(row.since),
			})
		}
	}
	out, q.left = q.left, nil
	return in, out
}

// unreported takes back what people could not be told.
func (q *quarantine) unreported(out []sql.Quarantined) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, row := range q.rows {
		row.changed = true
	}
	q.left = append(q.left, out...)
}

// say reports whether a failure is to be logged, and how many there were since the last that was.
func (q *quarantine) say(op operation) (failures int, say bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.said == nil {
		q.said, q.unsaid = make(map[operation]time.Time), make(map[operation]int)
	}
	q.unsaid[op]++
	if at, before := q.said[op]; before && time.Since(at) < sayAgain {
		return 0, false
	}
	failures = q.unsaid[op]
	q.said[op], q.unsaid[op] = time.Now(), 0
	return failures, true
}

// everTold reports whether people were told of some row.
func (q *quarantine) everTold() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ever
}

// counts is how many rows there are for each operation.
func (q *quarantine) counts() map[operation]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := make(map[operation]int)
	for s := range q.rows {
		n[s.operation]++
	}
	return n
}

// String names the row for people. An instance may be a URL with a password, hence its digest.
func (s subject) String() string {
	var parts []string
	if s.id.Message != (relay.ID{}) {
		parts = append(parts, s.id.Message.String())
	}
	if s.id.Subscription != "" {
		parts = append(parts, s.id.Subscription)
	}
	if s.id.Instance != "" {
		digest := sha256.Sum256([]byte(s.id.Instance))
		parts = append(parts, "instance "+hex.EncodeToString(digest[:4]))
	}
	if s.key != "" {
		parts = append(parts, "key "+s.key)
	}
	return strings.Join(parts, ", ")
}

// ofMessage is a message in quarantine.
func ofMessage(op operation, id relay.ID) subject {
	return subject{operation: op, id: relay.DeliveryID{Message: id}}
}

// isolate puts a row into quarantine, and returns how long the row should wait.
func (e *isolator) isolate(of subject, err error) (wait time.Duration) {
	why := sql.Refusal(err)
	wait = e.quarantine.failed(of, why)
	e.config.Metrics.isolated.WithLabelValues(string(of.operation)).Inc()
	e.sayIsolated(of, why)
	return wait
}

// sayIsolated logs that something failed for a row alone: of many the first in each while.
func (e *isolator) sayIsolated(of subject, why string) {
	if failures, say := e.quarantine.say(of.operation); say {
		e.config.Log.Error("a row is refused; it is tried again, perhaps with fewer details, and nothing else waits for it",
			"operation", string(of.operation), "row", of.String(), "why", why, "failures", failures)
	}
}

// eachAlone does something for all messages that are not in quarantine for the operation, and puts those into
// quarantine for which it fails. What such a row tells begins with words, if there are any.
func (e *isolator) eachAlone(ctx context.Context, op operation, words string, ids []relay.ID, do func([]relay.ID) error) error {
	free := make([]relay.ID, 0, len(ids))
	for _, id := range ids {
		if !e.quarantine.waits(ofMessage(op, id)) {
			free = append(free, id)
		}
	}
	return inHalves(ctx, free, func(some []relay.ID) error {
		err := do(some)
		if err == nil {
			e.quarantine.endedMessages(op, some)
		}
		return err
	}, func(id relay.ID, why error) {
		if e.isolate(ofMessage(op, id), why); words != "" {
			e.tell(sql.Telling{ID: relay.DeliveryID{Message: id}, Why: words + ": " + sql.Refusal(why), Ended: true})
		}
	})
}

// tell has people see in a row, as far as that can be written, why it is in quarantine. Each failure tells it again: a
// row that was locked is passed over, and one that says it already is not written.
func (e *isolator) tell(t sql.Telling) {
	select {
	case e.tellings <- t:
	default: // there are many: relay doctor, the metrics and the log tell of them
	}
}

// runTell writes into rows what people are to see there, until ctx ends.
func (e *isolator) runTell(ctx context.Context) error {
	for {
		var all []sql.Telling
		select {
		case <-ctx.Done():
			return nil
		case t := <-e.tellings:
			all = append(all, t)
		}
		if !pause(ctx, tellGather, nil) {
			return nil
		}
		told := map[relay.ID]bool{all[0].ID.Message: true}
		for range len(e.tellings) {
			if t := <-e.tellings; !told[t.ID.Message] {
				told[t.ID.Message] = true
				all = append(all, t)
			}
		}
		// What keeps a row from being changed may keep this from it, too.
		untold := func(t sql.Telling, err error) {
			e.config.Log.Debug("a row cannot tell why it is in quarantine", "message", t.ID.Message.String(), "error", err)
		}
		for _, tell := range []func(context.Context, []sql.Telling) error{e.config.Store.TellMessages, e.config.Store.TellDeliveries} {
			err := inHalves(ctx, all, func(some []sql.Telling) error { return tell(ctx, some) }, untold)
			e.trouble.note("tell what is in quarantine", ignoreEnd(ctx, err))
		}
	}
}

// watchQuarantine tells people what is in quarantine, until ctx ends.
func (e *isolator) watchQuarantine(ctx context.Context) error {
	for pause(ctx, reportEvery, nil) {
		e.quarantine.forget(time.Now())
		e.trouble.note("report what is in quarantine", ignoreEnd(ctx, e.reportQuarantine(ctx)))
	}
	return nil
}

// reportQuarantine tells people what has changed since they were told last.
func (e *isolator) reportQuarantine(ctx context.Context) error {
	counts := e.quarantine.counts()
	for _, op := range operations {
		e.config.Metrics.quarantined.WithLabelValues(string(op)).Set(float64(counts[op]))
	}
	in, out := e.quarantine.report(time.Now())
	if len(in) == 0 && len(out) == 0 {
		return nil
	}
	err := e.config.Store.ReportQuarantine(ctx, e.id, in, out)
	if err != nil {
		e.quarantine.unreported(out)
	}
	return err
}
