package cdc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Lag tells apart what a slot has not been told yet from what it holds back.
type Lag struct {
	// Confirmed is the WAL behind the confirmed position, in bytes: the relay's own lag.
	Confirmed int64
	// Restart is the WAL that the server must keep for the slot, in bytes. An open transaction of
	// another session makes it grow although the relay is caught up.
	Restart int64
	// Room is how much more WAL may be written before the slot is lost, in bytes. -1 means that
	// there is no limit (max_slot_wal_keep_size).
	Room int64
}

const selectLag = `
select greatest(coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn), 0), 0)::bigint,
       greatest(coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0), 0)::bigint,
       coalesce(safe_wal_size, -1)
from pg_replication_slots where slot_name = $1
`

// ErrNoSlot says that there is no slot of the name asked for.
var ErrNoSlot = errors.New("no such slot")

// ReadLag measures the lag of a slot. It returns ErrNoSlot if there is none.
func ReadLag(ctx context.Context, db *pgx.Conn, slot string) (Lag, error) {
	var lag Lag
	err := db.QueryRow(ctx, selectLag, slot).Scan(&lag.Confirmed, &lag.Restart, &lag.Room)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNoSlot
	}
	if err != nil {
		return lag, fmt.Errorf("measure the lag of slot %q: %w", slot, err)
	}
	return lag, nil
}

// HoldersFrom is the restart lag, in bytes, from which on the relay looks for the holders of WAL:
// a segment of the usual size, the least that a server can remove.
const HoldersFrom = 16 << 20

// measure measures the lag of the slot for state and metrics, and looks for the holders of WAL if
// the lag is large. Without a slot there is no lag.
func (s *Stream) measure(ctx context.Context, db *pgx.Conn) error {
	lag, err := ReadLag(ctx, db, s.cfg.Slot)
	if errors.Is(err, ErrNoSlot) {
		s.unmeasured()
		return nil
	}
	if err != nil {
		return err
	}
	var holders []Holder
	if lag.Restart > HoldersFrom {
		if holders, err = Holders(ctx, db, s.cfg.Slot); err != nil {
			return err
		}
	}
	s.board.update(func(st *State) {
		st.ConfirmedLag, st.RestartLag, st.Holders = lag.Confirmed, lag.Restart, holders
	})
	s.metrics.confirmedLag.Set(float64(lag.Confirmed))
	s.metrics.restartLag.Set(float64(lag.Restart))
	return nil
}

// measureIdle is measure while nothing streams: beside the reason why there is no stream the state
// then shows what the slot keeps. A failure to measure is not reported.
func (s *Stream) measureIdle(ctx context.Context, db *pgx.Conn) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := s.measure(ctx, db); err != nil && ctx.Err() == nil {
		s.board.warn(oneLine(err))
	}
}

// unmeasured notes that there is no slot, or none of this relay's.
func (s *Stream) unmeasured() {
	s.board.unmeasured()
	s.metrics.confirmedLag.Set(0)
	s.metrics.restartLag.Set(0)
}

// Holder is a session, a prepared transaction or a slot that keeps the server from removing WAL.
type Holder struct {
	// Name describes the holder: a transaction with its process, role and application, a prepared
	// transaction, or another slot.
	Name string
	// Mend is the command that ends it.
	Mend string
	// Since is when it began to hold. Zero means that the role may not see it.
	Since time.Time
	// Bytes is the WAL that another slot keeps. Zero for transactions.
	Bytes int64
}

// String returns the holder's name, since when it holds WAL, how much, and the command that ends it.
func (h Holder) String() string {
	text := h.Name
	if !h.Since.IsZero() {
		text += " since " + h.Since.UTC().Format(time.RFC3339)
	}
	if h.Bytes > 0 {
		text += fmt.Sprintf(", %d bytes", h.Bytes)
	}
	return text + " (to mend it: " + h.Mend + ")"
}

// Prepared transactions hold no lock by a process, so they come from a view of their own.
// Transactions younger than the limit are ignored: a busy server always has some.
const selectHolders = `
(select coalesce(x.gid, ''), coalesce(l.pid, 0),
        coalesce(a.usename || ', ' || a.application_name, x.owner, 'unknown'),
        l.transactionid::text, coalesce(x.prepared, a.xact_start), '' as slot, 0::bigint as bytes
 from pg_locks l
 left join pg_prepared_xacts x on x.transaction = l.transactionid
 left join pg_stat_activity a on a.pid = l.pid
 where l.locktype = 'transactionid' and l.granted and l.mode = 'ExclusiveLock' and l.pid is distinct from pg_backend_pid()
   and (coalesce(x.prepared, a.xact_start) < clock_timestamp() - interval '1 second') is not false
 order by age(l.transactionid) desc limit 3)
union all
(select '', 0, '', '', null, o.slot_name,
        greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), o.restart_lsn), 0)::bigint
 from pg_replication_slots o
 where o.slot_name <> $1 and o.restart_lsn < (select restart_lsn from pg_replication_slots where slot_name = $1)
 order by o.restart_lsn limit 3)
`

// Holders names what holds WAL back: the oldest open and prepared transactions, then the slots
// that lag behind the one given; at most three of each. The role sees since when a transaction
// runs only if it is its own or the role has pg_read_all_stats.
func Holders(ctx context.Context, db *pgx.Conn, slot string) ([]Holder, error) {
	rows, err := db.Query(ctx, selectHolders, slot)
	if err != nil {
		return nil, fmt.Errorf("look for what holds WAL: %w", err)
	}
	holders, err := pgx.CollectRows(rows, scanHolder)
	if err != nil {
		return nil, fmt.Errorf("look for what holds WAL: %w", err)
	}
	return holders, nil
}

func scanHolder(row pgx.CollectableRow) (Holder, error) {
	var gid, who, xid, slot string
	var pid int32
	var since *time.Time
	var h Holder
	if err := row.Scan(&gid, &pid, &who, &xid, &since, &slot, &h.Bytes); err != nil {
		return h, err
	}
	if since != nil {
		h.Since = *since
	}
	if slot != "" {
		h.Name = fmt.Sprintf("slot %q", slot)
		h.Mend = fmt.Sprintf("select pg_drop_replication_slot(%s); or let its consumer go on", literal(slot))
		return h, nil
	}
	t := transactionTrouble(gid, pid, who, xid)
	h.Name, h.Mend = t.why, t.mend
	return h, nil
}
