package cdc

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// OtherSlot is a replication slot that keeps WAL and is not the relay's own.
type OtherSlot struct {
	Name string
	// Here says that a relay may have made it: it is one of pgoutput in this database.
	Here bool
	// Reader is the session that reads the slot now: process, role and application. Empty means
	// that no session reads it.
	Reader string
	// Bytes is the WAL that the server keeps for it.
	Bytes int64
}

// Drop is the command that drops the slot.
func (o OtherSlot) Drop() string {
	return fmt.Sprintf("select pg_drop_replication_slot(%s)", literal(o.Name))
}

const selectOthers = `
select s.slot_name, coalesce(s.plugin = 'pgoutput' and s.database = current_database(), false),
       coalesce('pid ' || s.active_pid || ' (' || coalesce(a.usename || ', ' || a.application_name, 'unknown') || ')', ''),
       greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0)::bigint as bytes
from pg_replication_slots s
left join pg_stat_activity a on a.pid = s.active_pid
where s.slot_name <> $1 and s.restart_lsn is not null and not s.temporary
order by bytes desc
`

// OtherSlots returns the slots of the whole server, but for that of the name given and for
// temporary ones, that keep WAL; those that keep the most come first.
func OtherSlots(ctx context.Context, db *pgx.Conn, except string) ([]OtherSlot, error) {
	rows, err := db.Query(ctx, selectOthers, except)
	if err != nil {
		return nil, fmt.Errorf("look for other slots: %w", err)
	}
	others, err := pgx.CollectRows(rows, pgx.RowToStructByPos[OtherSlot])
	if err != nil {
		return nil, fmt.Errorf("look for other slots: %w", err)
	}
	return others, nil
}
