package reconcile

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"relay"
	"relay/sql"
)

// errHeld is why an outcome is not written whose row another session holds.
var errHeld = &pgconn.PgError{Code: "55P03"}

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

// reduce takes from an outcome that the database refuses, although it stands alone, what it may be refused for: first
// the record of the attempt and its words, then, of a message that was pending, its deliveries. It reports whether it is to be
// written with what is left. If that is nothing, it is whole again: it stays registered, so that it is not sent
// again, and is written later.
func reduce(item *written, err error) bool {
	if refusal(err) == nil {
		return false
	}
	first := &item.changes[0]
	switch {
	case item.reduced == 0:
		for i := range item.changes {
			c := &item.changes[i]
			if c.Attempt != nil || c.Error != "" {
				c.Attempt, c.Error = nil, refusedText(c, err)
			}
		}
	case item.reduced == 1 && first.Taking && first.MessageStatus != relay.MessageRejected:
		item.whole = item.changes
		item.changes = []sql.Change{{
			Delivery: sql.DeliveryID{Message: first.Delivery.Message}, Shard: first.Shard, Taking: true, Again: first.Again,
			MessageStatus: relay.MessageRejected, NextAttempt: -1, Cause: relay.CauseNotStored, Error: refusedText(first, err),
		}}
	default:
		if item.whole != nil {
			item.changes, item.whole, item.reduced = item.whole, nil, 1
		}
		return false
	}
	item.reduced++
	return true
}

// refusedText is the error of a delivery whose own could not be stored.
func refusedText(c *sql.Change, err error) string {
	return fmt.Sprintf("the outcome %q could not be stored in full: %s", c.Status, sql.Refusal(err))
}
