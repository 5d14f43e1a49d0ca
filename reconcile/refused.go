package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"relay"
	"relay/sql"
)

// refusedAgain is when an outcome that the database refuses is written again: a constraint
// or a trigger may stand in its way that a person takes out.
const refusedAgain = 10 * time.Second

// refusal returns the database's error if it is about what was to be written, so that the
// same statement fails for ever: a value that a type cannot hold (SQLSTATE class 22), a
// constraint (23), a view's check (44), a limit as that of an index entry (54), a trigger
// that raises an exception (P0).
func refusal(err error) *pgconn.PgError {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) < 2 {
		return nil
	}
	switch pg.Code[:2] {
	case "22", "23", "44", "54", "P0":
		return pg
	}
	return nil
}

// split writes a batch that the database refuses in two halves, and so on, until what is
// refused stands alone. The rest is written as if nothing had happened.
func (w *writer) split(ctx context.Context, items []*written, why *pgconn.PgError, write writeFunc) {
	if len(items) == 1 {
		w.reduce(ctx, items[0], why, write)
		return
	}
	half := len(items) / 2
	w.writeWith(ctx, items[:half], write)
	w.writeWith(ctx, items[half:], write)
}

// reduce takes from an outcome that the database refuses what it may be refused for: first
// the record of the attempt and its words, then, of a message that was pending, its
// deliveries. It is written again with what is left. If that is nothing, it stays
// registered, so that it is not sent again, and is written later, with its deliveries.
func (w *writer) reduce(ctx context.Context, item *written, why *pgconn.PgError, write writeFunc) {
	w.sayRefused(item, why)
	first := &item.changes[0]
	switch {
	case item.reduced == 0:
		for i := range item.changes {
			c := &item.changes[i]
			if c.Attempt != nil || c.Error != "" {
				c.Attempt, c.Error = nil, refusedText(c, why)
			}
		}
	case item.reduced == 1 && first.Taking && first.MessageStatus != relay.MessageRejected:
		item.whole = item.changes
		item.changes = []sql.Change{{
			Delivery: sql.DeliveryID{Message: first.Delivery.Message}, Shard: first.Shard, Taking: true,
			MessageStatus: relay.MessageRejected, NextAttempt: -1, Error: refusedText(first, why),
		}}
	default:
		if item.whole != nil {
			item.changes, item.whole, item.reduced = item.whole, nil, 1
		}
		w.writeLater(item)
		return
	}
	item.reduced++
	w.writeWith(ctx, []*written{item}, write)
}

// refusedText is the error of a delivery whose own could not be stored. It names no value
// that was refused, for that may be a secret.
func refusedText(c *sql.Change, why *pgconn.PgError) string {
	text := fmt.Sprintf("the outcome %q could not be stored in full: PostgreSQL refused it with SQLSTATE %s", c.Status, why.Code)
	if why.ConstraintName != "" {
		text += fmt.Sprintf(" (constraint %s)", why.ConstraintName)
	}
	return text
}

// writeLater has an outcome written again after a while or, when the relay stops, leaves its
// row to the next owner.
func (w *writer) writeLater(item *written) {
	if w.engine.stopping.Load() {
		w.engine.registry.leave(item.entry)
		item.after()
		w.settled(1)
		return
	}
	w.engine.registry.hold(item.entry)
	time.AfterFunc(refusedAgain, func() { w.again([]*written{item}) })
}

// sayRefused logs that an outcome is refused: one message's once, and of many the first in
// each while.
func (w *writer) sayRefused(item *written, why *pgconn.PgError) {
	if item.reduced > 0 {
		return
	}
	w.mu.Lock()
	w.refused++
	n := w.refused
	say := time.Since(w.saidRefused) > sayAgain
	if say {
		w.saidRefused, w.refused = time.Now(), 0
	}
	w.mu.Unlock()
	if say {
		w.engine.config.Log.Error("the database refuses an outcome; it is written with fewer details, or later", "message", item.changes[0].Delivery.Message.String(),
			"sqlstate", why.Code, "table", why.TableName, "constraint", why.ConstraintName, "refused", n)
	}
}
