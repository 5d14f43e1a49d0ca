package cdc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relay/crash"
)

// waitPoll is the interval at which the relay asks what the making of a slot waits for.
const waitPoll = 500 * time.Millisecond

// slot is what the catalogue says about the replication slot.
type slot struct {
	exists   bool
	plugin   string // empty for a physical slot
	database string
	here     bool   // it belongs to the database we are connected to
	pid      int32  // of the process that uses it; 0 if none does
	usedBy   string // role and application of that process
	ready    bool   // it has a position; false while it is being made
	broken   string // why its WAL is gone; empty: it is not
	failover bool
}

// Columns came over the years: conflicting with 16, invalidation_reason and failover with
// 17. Reading the row as JSON lets one statement serve all.
const selectSlot = `
select coalesce(s.plugin, ''), coalesce(s.database, ''), coalesce(s.database = current_database(), false),
       coalesce(s.active_pid, 0), coalesce(a.usename || ', ' || a.application_name, 'unknown'),
       s.confirmed_flush_lsn is not null,
       coalesce(to_jsonb(s) ->> 'invalidation_reason',
                case when s.wal_status = 'lost' then 'its WAL was removed' end,
                case when (to_jsonb(s) ->> 'conflicting')::boolean then 'it conflicts with recovery' end, ''),
       coalesce((to_jsonb(s) ->> 'failover')::boolean, false)
from pg_replication_slots s
left join pg_stat_activity a on a.pid = s.active_pid
where s.slot_name = $1
`

func readSlot(ctx context.Context, db *pgx.Conn, name string) (slot, error) {
	sl := slot{exists: true}
	err := db.QueryRow(ctx, selectSlot, name).Scan(&sl.plugin, &sl.database, &sl.here, &sl.pid,
		&sl.usedBy, &sl.ready, &sl.broken, &sl.failover)
	if errors.Is(err, pgx.ErrNoRows) {
		return slot{}, nil
	}
	if err != nil {
		return slot{}, fmt.Errorf("read slot %q: %w", name, err)
	}
	return sl, nil
}

// clearSlot looks at the slot and removes what stands in the way: a remnant's walsender, a
// slot that is broken or to be replaced. It returns how the slot then stands.
func (s *Stream) clearSlot(ctx context.Context, db *pgx.Conn) (slot, error) {
	name := s.cfg.Slot
	sl, err := readSlot(ctx, db, name)
	if err != nil || !sl.exists {
		return sl, err
	}
	if sl.plugin != "pgoutput" || !sl.here {
		return sl, s.foreignSlot(sl)
	}
	if sl.pid != 0 {
		if err := s.evict(ctx, db, sl); err != nil {
			return sl, err
		}
		if sl, err = readSlot(ctx, db, name); err != nil || !sl.exists {
			return sl, err
		}
	}
	why := s.replace
	switch {
	case sl.broken != "":
		why = sl.broken
	case !sl.ready:
		why = "it was never finished"
	}
	if why == "" {
		return sl, nil
	}
	s.cfg.Log.Warn("slot is replaced", "slot", name, "why", why)
	return slot{}, s.dropSlot(ctx, db)
}

func (s *Stream) foreignSlot(sl slot) error {
	what := fmt.Sprintf("is a slot of plugin %s in database %s", sl.plugin, sl.database)
	if sl.plugin == "" {
		what = "is a physical slot"
	}
	return &trouble{
		why: fmt.Sprintf("slot %q %s, and the relay needs one of pgoutput in this database", s.cfg.Slot, what),
		mend: fmt.Sprintf("set RELAY_SLOT to another name; or select pg_drop_replication_slot('%s')",
			s.cfg.Slot),
	}
}

// evict ends the walsender that uses the slot if that walsender is known to be a remnant: of an
// earlier session of this relay, or, with Steal, of the relay that had the slot before.
func (s *Stream) evict(ctx context.Context, db *pgx.Conn, sl slot) error {
	held := &trouble{
		why:  fmt.Sprintf("slot %q is held by pid %d (%s)", s.cfg.Slot, sl.pid, sl.usedBy),
		mend: fmt.Sprintf("select pg_terminate_backend(%d); or set RELAY_SLOT to another name", sl.pid),
	}
	if !s.cfg.Steal && uint32(sl.pid) != s.lastPID {
		return held
	}
	// The second value is how long the call waits for the end, in milliseconds.
	var ended bool
	err := db.QueryRow(ctx, "select pg_terminate_backend($1, 5000)", sl.pid).Scan(&ended)
	if err != nil {
		return fmt.Errorf("end the walsender of slot %q: %w (%w)", s.cfg.Slot, err, held)
	}
	s.cfg.Log.Warn("walsender of a former holder ended", "slot", s.cfg.Slot, "pid", sl.pid, "ended", ended)
	return nil
}

func (s *Stream) dropSlot(ctx context.Context, db *pgx.Conn) error {
	_, err := db.Exec(ctx, "select pg_drop_replication_slot($1)", s.cfg.Slot)
	switch {
	case err == nil, sqlstate(err) == codeUndefinedObject:
		return nil
	case sqlstate(err) == codeInUse:
		return &trouble{
			why:  fmt.Sprintf("slot %q is to be replaced, but in use", s.cfg.Slot),
			mend: "stop the relay that holds it",
		}
	}
	return fmt.Errorf("drop slot %q: %w", s.cfg.Slot, err)
}

// makeSlot makes the slot over the replication connection. The server first waits for every
// transaction that was writing when it began; meanwhile the state names that transaction. When ctx
// ends, the making is cancelled on the server too.
func (s *Stream) makeSlot(ctx context.Context, db *pgx.Conn, repl *pgconn.PgConn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	made := make(chan error, 1)
	go func() {
		_, err := repl.Exec(ctx, createSlot(s.cfg.Slot, s.server.version)).ReadAll()
		made <- err
	}()
	ticker := time.NewTicker(waitPoll)
	defer ticker.Stop()
	for {
		select {
		case err := <-made:
			return s.slotMade(err)
		case <-ticker.C:
			waiting, err := whatSlotWaitsFor(ctx, db, s.cfg.Slot, repl.PID())
			if err != nil {
				cancel()
				<-made
				return err
			}
			s.board.say(waiting)
			s.measureIdle(ctx, db)
			crash.At(crash.SlotMaking)
		}
	}
}

// failoverSince is the first version whose slots standbys can keep up to date.
const failoverSince = 170000

// createSlot asks for no snapshot, since the table is swept anyway, and from 17 on for a
// slot that is kept up to date on standbys. The same command serves 15 and later.
func createSlot(name string, version int) string {
	options := "SNAPSHOT 'nothing'"
	if version >= failoverSince {
		options += ", FAILOVER"
	}
	return fmt.Sprintf("CREATE_REPLICATION_SLOT %s LOGICAL pgoutput (%s)", quote(name), options)
}

func (s *Stream) slotMade(err error) error {
	switch sqlstate(err) {
	case codeTooManySlots:
		slots := s.server.slots
		return &trouble{
			why:  fmt.Sprintf("all %s replication slots are in use", slots),
			mend: s.server.provider.MendSetting("max_replication_slots", twice(slots), true) + "; or drop one that is no longer needed (select slot_name, active from pg_replication_slots)",
		}
	case codeNoPrivilege:
		return s.server.explain(err, s.cfg.Conn.User)
	}
	if err != nil {
		return fmt.Errorf("create slot %q: %w", s.cfg.Slot, err)
	}
	crash.At(crash.SlotMade)
	s.replace = ""
	s.metrics.slotsMade.Inc()
	s.cfg.Log.Info("slot made", "slot", s.cfg.Slot)
	return nil
}

// allowFailover lets standbys of PostgreSQL 17 and later keep a slot that was made
// without, for instance before an upgrade. A stream without is better than none.
func (s *Stream) allowFailover(ctx context.Context, repl *pgconn.PgConn) {
	_, err := repl.Exec(ctx, "ALTER_REPLICATION_SLOT "+quote(s.cfg.Slot)+" (FAILOVER)").ReadAll()
	if err != nil {
		s.board.warn(fmt.Sprintf("slot %q will not fail over: %s", s.cfg.Slot, oneLine(err)))
	}
}

const selectSlotWait = `
select coalesce(x.gid, ''), coalesce(h.pid, 0),
       coalesce(a.usename || ', ' || a.application_name, x.owner, 'unknown'),
       coalesce(l.transactionid::text, '')
from pg_locks l
left join pg_prepared_xacts x on x.transaction = l.transactionid
left join pg_locks h on h.locktype = 'transactionid' and h.transactionid = l.transactionid
                    and h.granted and h.pid is not null
left join pg_stat_activity a on a.pid = h.pid
where l.pid = $1 and not l.granted and l.locktype = 'transactionid'
limit 1
`

// whatSlotWaitsFor names the transaction that the making of a slot waits for.
func whatSlotWaitsFor(ctx context.Context, db *pgx.Conn, name string, maker uint32) (*trouble, error) {
	var gid, who, xid string
	var pid int32
	err := db.QueryRow(ctx, selectSlotWait, int32(maker)).Scan(&gid, &pid, &who, &xid)
	if errors.Is(err, pgx.ErrNoRows) {
		return &trouble{
			why:  fmt.Sprintf("slot %q is being made", name),
			mend: "wait a few seconds",
		}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look what the making of slot %q waits for: %w", name, err)
	}
	t := transactionTrouble(gid, pid, who, xid)
	t.why = fmt.Sprintf("the making of slot %q waits for %s", name, t.why)
	return t, nil
}

// transactionTrouble names an open or prepared transaction and how to end it.
func transactionTrouble(gid string, pid int32, who, xid string) *trouble {
	if gid != "" {
		return &trouble{
			why:  fmt.Sprintf("prepared transaction '%s' (%s, xid %s)", gid, who, xid),
			mend: fmt.Sprintf("commit prepared %[1]s; or rollback prepared %[1]s", literal(gid)),
		}
	}
	return &trouble{
		why:  fmt.Sprintf("the open transaction of pid %d (%s, xid %s)", pid, who, xid),
		mend: fmt.Sprintf("select pg_terminate_backend(%d); or have its client end it", pid),
	}
}

// literal returns text as an SQL string.
func literal(text string) string {
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
