package cdc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"relay"
)

// marker is the heartbeat that is under way.
type marker struct {
	out    bool          // sent, and not yet come back
	at     time.Time     // before it was sent
	end    pglogrepl.LSN // where it ends in the WAL
	canary relay.ID      // committed before it; zero: none was
	sung   bool          // the stream has shown the canary
}

// watcher beats and watches over an ordinary connection while a session streams. It
// notices what the stream cannot show: a catalogue that has changed, which makes it
// silent without an error, and a server that is about to go.
type watcher struct {
	stream *Stream
	db     *pgx.Conn
	want   publication // as the session found it
	said   string      // the last trouble of its own

	mu     sync.Mutex
	marker marker
}

// errCatalogue says that publication or table are no longer what the session began with.
var errCatalogue = errors.New("the catalogue has changed")

// run returns a verdict that ends the session, or nil when ctx ends. Troubles of its own
// connection are no verdict: the stream does well without.
func (w *watcher) run(ctx context.Context) error {
	for {
		err := w.beat(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errCatalogue), errors.Is(err, errStopping):
			return err
		case err != nil:
			w.say(oneLine(err))
		default:
			w.said = ""
		}
		w.rest(ctx)
	}
}

func (w *watcher) say(trouble string) {
	w.stream.metrics.heartbeatFailures.Inc()
	if trouble != w.said {
		w.stream.cfg.Log.Warn("heartbeat failed", "why", trouble)
		w.said = trouble
	}
}

// listen asks for what people change by hand, which the stream does not show.
func (w *watcher) listen(ctx context.Context) error {
	if _, err := w.db.Exec(ctx, "listen "+ChannelChanged); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

// rest waits for the next beat. It reads from the connection meanwhile, for notifications,
// and since a server that is shutting down ends ordinary connections first, and waits for
// the walsenders.
func (w *watcher) rest(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.stream.cfg.HeartbeatEvery)
	defer cancel()
	for !w.db.IsClosed() {
		if err := w.db.PgConn().WaitForNotification(ctx); err != nil {
			return // by the time-out, or with the connection; the next beat sees which
		}
	}
	select {
	case <-time.After(min(w.stream.cfg.HeartbeatEvery, time.Second)):
	case <-ctx.Done():
	}
}

// beat is one step: look at the catalogue, measure the lag, send a canary and a heartbeat.
func (w *watcher) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := w.connect(ctx); err != nil {
		return err
	}
	if err := w.checkCatalogue(ctx); err != nil {
		return err
	}
	if err := w.stream.measure(ctx, w.db); err != nil {
		return err
	}
	return w.emit(ctx)
}

// connect connects anew if the connection was lost, and asks for a sweep of what was not heard meanwhile. A server
// that refuses connections while it still streams is shutting down.
func (w *watcher) connect(ctx context.Context) error {
	if !w.db.IsClosed() {
		return nil
	}
	db, err := connectSQL(ctx, w.stream.notices.heardBy(w.stream.cfg.Conn), w.stream.cfg.Renew)
	switch {
	case sqlstate(err) == codeCannotConnectNow:
		return errStopping
	case err != nil:
		return fmt.Errorf("connect for the heartbeat: %w", err)
	}
	w.db = db
	if err := w.listen(ctx); err != nil {
		w.close()
		return err
	}
	w.stream.sink.Missed()
	return nil
}

func (w *watcher) checkCatalogue(ctx context.Context) error {
	now, err := readPublication(ctx, w.db, w.stream.cfg.Publication)
	switch {
	case err != nil:
		return err
	case now.oid == 0:
		return fmt.Errorf("%w: the publication was dropped", errCatalogue)
	case now.oid != w.want.oid:
		return fmt.Errorf("%w: the publication was made anew", errCatalogue)
	case now.table != w.want.table:
		return fmt.Errorf("%w: relay.outbox was dropped or made anew", errCatalogue)
	case now.flaw() != "":
		return fmt.Errorf("%w: publication: %s", errCatalogue, now.flaw())
	}
	return nil
}

// emit commits a canary and then writes a small logical message into the WAL. The message lets the slot of an idle
// database advance, and marks a point: when the stream has passed it, every row that was visible before has been
// rung, and the canary has been shown. The stream passes it by position, so it need not carry messages. Where no
// canary can be inserted, the message alone is sent, and says nothing about blindness.
func (w *watcher) emit(ctx context.Context) error {
	if w.marked() {
		return nil // the last one is still under way
	}
	m := marker{at: time.Now(), canary: newCanary()}
	w.mark(m) // the stream may show the canary before its commit returns
	failed := w.sendCanary(ctx, m.canary)
	if failed != nil && w.db.IsClosed() {
		return failed
	}
	if failed != nil {
		w.mark(marker{at: m.at})
	}
	var text string
	err := w.db.QueryRow(ctx, "select pg_logical_emit_message(false, 'relay', 'heartbeat')::text").Scan(&text)
	if err != nil {
		return fmt.Errorf("send a heartbeat: %w", err)
	}
	end, err := pglogrepl.ParseLSN(text)
	if err != nil {
		return fmt.Errorf("read the heartbeat's position: %w", err)
	}
	w.stream.metrics.heartbeats.Inc()
	w.mu.Lock()
	w.marker.out, w.marker.end = true, end
	w.mu.Unlock()
	w.passed(w.stream.State().Confirmed) // the stream may have been faster
	return failed
}

func (w *watcher) mark(m marker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marker = m
}

// sang notes that the stream has shown a canary. One of an earlier session may come again.
func (w *watcher) sang(id relay.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id == w.marker.canary {
		w.marker.sung = true
	}
}

// marked reports whether a heartbeat is under way.
func (w *watcher) marked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.marker.out
}

// passed notes that the stream has got to position, and thereby perhaps past a heartbeat. If it has not shown the
// canary that was committed before the heartbeat, it is blind.
func (w *watcher) passed(position pglogrepl.LSN) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.marker.out || position < w.marker.end {
		return
	}
	w.marker.out = false
	switch sent := w.marker.canary != (relay.ID{}); {
	case sent && !w.marker.sung:
		w.stream.metrics.canaries.WithLabelValues(canaryMissed).Inc()
		w.stream.blind()
		return
	case sent:
		w.stream.metrics.canaries.WithLabelValues(canaryHeard).Inc()
	}
	w.stream.board.update(func(st *State) { st.HeardAt = w.marker.at })
}

func (w *watcher) close() { closeSQL(w.db) }
