package cdc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"relay/sql"
)

// Flaw is what keeps the stream from working, and the command that mends it. The zero
// value is none.
type Flaw struct{ Why, Mend string }

// Examined is a replication slot as ExamineSlot found it.
type Examined struct {
	Exists bool
	// Reader is the session that reads the slot now: process, role and application. Empty means
	// that no session reads it.
	Reader string
	PID    int32 // of that process; 0 if no session reads the slot
	// Status is the server's word on its WAL: reserved, extended, unreserved or lost.
	Status string
	Lag    Lag
	Flaw   Flaw
}

// ExamineSlot looks at the slot of that name as a stream would, and changes nothing. A slot
// that does not exist is no error.
func ExamineSlot(ctx context.Context, db *pgx.Conn, name string) (Examined, error) {
	sl, err := readSlot(ctx, db, name)
	if err != nil || !sl.exists {
		return Examined{}, err
	}
	e := Examined{Exists: true, PID: sl.pid, Flaw: sl.flawOf(name)}
	if sl.pid != 0 {
		e.Reader = fmt.Sprintf("pid %d (%s)", sl.pid, sl.usedBy)
	}
	const selectStatus = "select coalesce(wal_status, '') from pg_replication_slots where slot_name = $1"
	if err := db.QueryRow(ctx, selectStatus, name).Scan(&e.Status); err != nil {
		return e, fmt.Errorf("read slot %q: %w", name, err)
	}
	e.Lag, err = ReadLag(ctx, db, name)
	return e, err
}

// flawOf says what is wrong with a slot that exists.
func (sl slot) flawOf(name string) Flaw {
	drop := fmt.Sprintf("set RELAY_SLOT to another name; or select pg_drop_replication_slot(%s)", literal(name))
	switch {
	case sl.plugin == "":
		return Flaw{Why: "it is a physical slot", Mend: drop}
	case sl.plugin != "pgoutput":
		return Flaw{Why: "it is a slot of plugin " + sl.plugin + ", not of pgoutput", Mend: drop}
	case !sl.here:
		return Flaw{Why: "it belongs to database " + sl.database, Mend: drop}
	case sl.broken != "":
		return Flaw{Why: "it is lost: " + sl.broken, Mend: "relay run, which replaces the slot and sweeps for what was missed"}
	}
	return Flaw{}
}

// ExamineReplication opens a connection for replication as a stream would, and closes it. If the
// connection's role is a member of a role that the server's provider made for replication, by is
// the name of that role. The flaw is one that a person can do something about; any other failure
// is the error.
func ExamineReplication(ctx context.Context, base *pgx.ConnConfig, provider sql.Provider, by string) (Flaw, error) {
	conn, err := connectReplication(ctx, base, nil)
	if err == nil {
		closeReplication(conn)
		return Flaw{}, nil
	}
	var known *trouble
	v := server{senders: "too small", provider: provider, by: by}
	if errors.As(v.explain(err, base.User), &known) {
		return Flaw{Why: known.why, Mend: known.mend}, nil
	}
	return Flaw{}, err
}

// ExaminePublication looks at the publication of that name as a stream would, and changes
// nothing. It reports whether there is one.
func ExaminePublication(ctx context.Context, db *pgx.Conn, name string) (exists bool, flaw Flaw, err error) {
	p, err := readPublication(ctx, db, name)
	if err != nil || p.oid == 0 {
		return false, Flaw{}, err
	}
	if why := p.flaw(); why != "" {
		flaw = Flaw{Why: why, Mend: strings.Join(repairs(name, p.everything), "; ")}
	}
	return true, flaw, nil
}
