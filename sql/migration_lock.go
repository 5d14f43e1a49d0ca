package sql

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// migrationLock is the advisory lock of the one connection that migrates, for as long as it
// does.
const migrationLock = 0x72656c61792d6d // "relay-m"

// The locks of programs that know version 4 at most: of the schema, and of the library that
// ran their migrations. They change nothing from version 4 on, so that these locks are held
// only while something of those versions is made.
const (
	olderSchemaLock    = 0x72656c6179 // "relay"
	olderMigrationLock = 9628173550095224
)

// lockPause is how long a relay waits before it asks again whether it may migrate.
const lockPause = 100 * time.Millisecond

// waitForLock takes an advisory lock for the rest of the session. It asks again and again:
// a statement that waits inside of the server holds a snapshot, for whose end the
// concurrent build of an index waits in turn, in the session that has the lock.
func waitForLock(ctx context.Context, conn *pgx.Conn, key int64) error {
	for {
		var taken bool
		if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", key).Scan(&taken); err != nil || taken {
			return err
		}
		if err := pause(ctx, lockPause); err != nil {
			return err
		}
	}
}

// keepingOlderOut runs f while no older program migrates.
func keepingOlderOut(ctx context.Context, conn *pgx.Conn, f func() error) error {
	for _, key := range []int64{olderSchemaLock, olderMigrationLock} {
		if err := waitForLock(ctx, conn, key); err != nil {
			return err
		}
		defer conn.Exec(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", key)
	}
	return f()
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
