package quarantine

import (
	"context"
	"sync"
	"time"

	"relay"
	"relay/sql"
	"relay/wait"
)

const (
	// reportEvery is how often people are told what is in quarantine.
	reportEvery = time.Second
	// tellGather is how long rows that are to tell why they are in quarantine wait for company.
	tellGather = 500 * time.Millisecond
	// leaveLimit bounds the time that Leave takes.
	leaveLimit = time.Second
)

// Run tells people what is in quarantine, until ctx ends. It returns no error.
func (q *Quarantine) Run(ctx context.Context) error {
	var telling sync.WaitGroup
	telling.Go(func() { q.tellRows(ctx) })
	for wait.For(ctx, reportEvery) {
		q.forget(time.Now())
		q.config.Trouble.NoteDuring(ctx, "report what is in quarantine", q.report(ctx))
	}
	telling.Wait()
	return nil
}

// report tells people what has changed since they were told last.
func (q *Quarantine) report(ctx context.Context) error {
	counts := q.counts()
	for _, op := range operations {
		q.config.Metrics.quarantined.WithLabelValues(string(op)).Set(float64(counts[op]))
	}
	in, out := q.changes(time.Now())
	if len(in) == 0 && len(out) == 0 {
		return nil
	}
	err := q.config.Store.ReportQuarantine(ctx, q.config.ID, in, out)
	if err != nil {
		q.untold(out)
	}
	return err
}

// Leave removes from relay.quarantine what people were told, within a second. A relay calls it after the end of Run.
// An error says that the rows are still there; retention removes them later.
func (q *Quarantine) Leave() error {
	if !q.everTold() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	return q.config.Store.LeaveQuarantine(ctx, q.config.ID)
}

// Tell has people see in a row, as far as that can be written, why it is in quarantine. It returns at once. Each
// failure tells it again: a row that was locked is passed over, and one that says it already is not written.
func (q *Quarantine) Tell(t sql.Telling) {
	select {
	case q.tellings <- t:
	default: // there are many: relay doctor, the metrics and the log tell of them
	}
}

// tellRows writes into rows what people are to see there, until ctx ends.
func (q *Quarantine) tellRows(ctx context.Context) {
	for {
		var first sql.Telling
		select {
		case <-ctx.Done():
			return
		case first = <-q.tellings:
		}
		if !wait.For(ctx, tellGather) {
			return
		}
		all := []sql.Telling{first}
		for range len(q.tellings) {
			all = append(all, <-q.tellings)
		}
		// What keeps a row from being changed may keep this from it, too.
		untold := func(t sql.Telling, err error) {
			q.config.Log.Debug("a row cannot tell why it is in quarantine", "message", t.ID.Message.String(), "error", err)
		}
		tell := func(all []sql.Telling, do func(context.Context, []sql.Telling) error) {
			err := InHalves(ctx, all, func(some []sql.Telling) error { return do(ctx, some) }, untold)
			q.config.Trouble.NoteDuring(ctx, "tell what is in quarantine", err)
		}
		tell(firstOfEach(all, func(t sql.Telling) relay.ID { return t.ID.Message }), q.config.Store.TellMessages)
		tell(firstOfEach(all, func(t sql.Telling) relay.DeliveryID { return t.ID }), q.config.Store.TellDeliveries)
	}
}

// firstOfEach returns the first telling of each row: a statement changes a row once.
func firstOfEach[K comparable](all []sql.Telling, row func(sql.Telling) K) (first []sql.Telling) {
	told := make(map[K]bool, len(all))
	for _, t := range all {
		if !told[row(t)] {
			told[row(t)] = true
			first = append(first, t)
		}
	}
	return first
}
