package cdc

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relay/sql"
)

// server is what a session must know of the server before it asks for anything.
type server struct {
	version  int // as server_version_num
	walLevel string
	standby  bool
	slots    string // max_replication_slots
	senders  string // max_wal_senders
	provider sql.Provider
	by       string // the role of the provider by which ours may replicate
}

const selectServer = `
select current_setting('server_version_num')::int, current_setting('wal_level'), pg_is_in_recovery(),
       current_setting('max_replication_slots'), current_setting('max_wal_senders'),
` + sql.SelectProviderRoles

func readServer(ctx context.Context, db *pgx.Conn) (server, error) {
	var v server
	var roles []string
	err := db.QueryRow(ctx, selectServer).Scan(&v.version, &v.walLevel, &v.standby, &v.slots, &v.senders, &roles)
	v.provider, v.by = sql.ReadProvider(roles)
	switch {
	case err != nil:
		return v, fmt.Errorf("read the server's settings: %w", err)
	case v.standby:
		return v, &trouble{
			why:  "the server is a standby",
			mend: "set RELAY_DATABASE_URL to the primary, or to all hosts with target_session_attrs=read-write",
		}
	case v.walLevel != "logical":
		return v, &trouble{
			why:  fmt.Sprintf("wal_level is %s, and streaming needs logical", v.walLevel),
			mend: v.provider.MendSetting("wal_level", "logical", true),
		}
	}
	return v, nil
}

// session is one life of the stream, from the first connection to the last: it makes what
// is missing and streams until something fails or ctx ends.
func (s *Stream) session(ctx context.Context) error {
	db, err := connectSQL(ctx, s.notices.heardBy(s.cfg.Conn), s.cfg.Renew)
	if err != nil {
		s.board.unmeasured()
		return err
	}
	w := &watcher{stream: s, db: db}
	defer w.close()
	if s.server, err = readServer(ctx, db); err != nil {
		return err
	}
	s.measureIdle(ctx, db)
	if err := w.listen(ctx); err != nil {
		return err
	}
	var made bool
	if w.want, made, err = s.ensurePublication(ctx, db); err != nil {
		return err
	}
	if made {
		s.replace = "the publication was made after it"
	}
	sl, err := s.clearSlot(ctx, db)
	if err != nil {
		return err
	}
	repl, err := connectReplication(ctx, s.cfg.Conn, s.cfg.Renew)
	if err != nil {
		return s.server.explain(err, db.Config().User)
	}
	defer closeReplication(repl)
	if err := s.prepareSlot(ctx, db, repl, sl); err != nil {
		return err
	}
	return s.stream(ctx, repl, w)
}

// prepareSlot makes the slot if there is none, and lets it fail over where that is possible.
func (s *Stream) prepareSlot(ctx context.Context, db *pgx.Conn, repl *pgconn.PgConn, sl slot) error {
	switch {
	case !sl.exists:
		return s.makeSlot(ctx, db, repl)
	case !sl.failover && s.server.version >= failoverSince:
		s.allowFailover(ctx, repl)
	}
	return nil
}

// stream rings until something fails or ctx ends. Three goroutines live inside it: this
// one owns the replication connection, one calls the sink, one beats and watches.
func (s *Stream) stream(ctx context.Context, repl *pgconn.PgConn, w *watcher) error {
	s.lastPID = repl.PID()
	if err := s.start(ctx, repl); err != nil {
		return s.judge(err, false, 0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s.started(cancel)
	s.sink.Missed()
	p := newPump(repl, s, w)
	var group sync.WaitGroup
	group.Go(p.bell.run)
	group.Go(func() {
		if err := w.run(ctx); err != nil {
			cancel(err)
		}
	})
	err := p.run(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	cancel(err)
	closeReplication(repl) // at once: the sink may take its time to return
	close(p.bell.rings)
	group.Wait()
	s.ended()
	return s.judge(err, true, p.pos.told)
}

// start begins streaming where the slot stands: at 0/0, since a position of our own that
// lies ahead of the slot's would silently skip what is between.
func (s *Stream) start(ctx context.Context, repl *pgconn.PgConn) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.SilentAfter)
	defer cancel()
	err := pglogrepl.StartReplication(ctx, repl, quote(s.cfg.Slot), 0, pglogrepl.StartReplicationOptions{
		Mode: pglogrepl.LogicalReplication,
		PluginArgs: []string{
			"proto_version '1'",
			"publication_names " + literal(quote(s.cfg.Publication)),
		},
	})
	if err != nil {
		return fmt.Errorf("start replication of slot %q: %w", s.cfg.Slot, err)
	}
	return nil
}

// stuckness counts sessions that the server ended with an error at the same position.
type stuckness struct {
	at    pglogrepl.LSN
	times int
}

// stuckLimit is how many such sessions it takes to give the slot up.
const stuckLimit = 3

// judge decides whether the end of a session costs the slot, and returns err. A stream
// that ends with an error at the same position again and again never gets past it; what
// lies there is in the table, and a new slot starts behind it.
func (s *Stream) judge(err error, streaming bool, told pglogrepl.LSN) error {
	var doubt *suspicion
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &doubt):
		s.replace = doubt.why
		return err
	case !errors.As(err, &pg), pg.SeverityUnlocalized != "ERROR", pg.Code == codeInUse:
		return err
	case pg.Code == codeUndefinedObject && streaming:
		s.replace = "it holds changes from before the publication was made"
		return err
	case pg.Code == codeUndefinedObject: // the slot has gone since we looked
		return err
	}
	if s.stuck.at != told {
		s.stuck = stuckness{at: told}
	}
	s.stuck.times++
	if s.stuck.times >= stuckLimit && s.mayDoubt() {
		s.stuck = stuckness{}
		s.replace = "the server cannot get past its position: " + oneLine(err)
	}
	return err
}
