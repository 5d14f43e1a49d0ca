package cdc

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
)

// Channel is the channel of NOTIFY on which rows are rung. The payload holds message ids
// with commas between; an empty one asks for a sweep.
const Channel = "relay_outbox"

// ChannelChanged is the channel of NOTIFY on which every relay hears that a person has changed
// messages. The payload is as on Channel.
const ChannelChanged = "relay_changed"

// ListenerConfig says where a Listener listens.
type ListenerConfig struct {
	// Conn leads to the database itself, not to a pooler that shares connections; required.
	// It is copied. The role needs no right but CONNECT.
	Conn *pgx.ConnConfig
	// Renew brings Conn up to date for each new connection. Nil means that Conn never changes.
	Renew Renewal
	// Trigger says that it is the trigger that rings, so that rows are not heard of while it is
	// missing or disabled. False means that another relay rings.
	Trigger bool
	// SilentAfter is how long the connection may stay silent before the server is asked whether it
	// is there, and how long it may take to answer; it is also how often the trigger is looked at.
	// Zero means 10 seconds.
	SilentAfter time.Duration
	// Log receives what a person should know. Nil means that nothing is logged.
	Log *slog.Logger
	// Registerer receives the metrics relay_cdc_…. Nil means that the metrics are not registered anywhere.
	Registerer prometheus.Registerer
}

// Listener is the doorbell over LISTEN and NOTIFY. It hears the trigger that EnsureTrigger
// makes, and any other relay that rings on Channel. What it hears carries ids alone, and every
// role that can connect may have sent it. Unlike the
// stream it may show a row that a crash of the server still takes back.
type Listener struct {
	cfg     ListenerConfig
	sink    sink
	metrics *listenerMetrics
	notices *notices
	board   board
}

// NewListener returns a Listener that rings for s. It does not connect; Run does.
func NewListener(cfg ListenerConfig, s sink) *Listener {
	cfg.Conn = cfg.Conn.Copy()
	if cfg.SilentAfter <= 0 {
		cfg.SilentAfter = 10 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Listener{
		cfg:     cfg,
		sink:    s,
		metrics: newListenerMetrics(cfg.Registerer),
		notices: newNotices(s, cfg.Log, newNoticeMetrics(cfg.Registerer, "notify")),
		board:   newBoard(cfg.Log.With("capture", "notify")),
	}
}

// Run listens until ctx ends, again and again with growing pauses, and returns nil.
func (l *Listener) Run(ctx context.Context) error {
	supervise(ctx, l.session, func(err error) {
		l.metrics.failures.Inc()
		l.board.failed(err)
	})
	l.board.stopped()
	return nil
}

// State returns how the listener stands. Positions and lags are unknown to it.
func (l *Listener) State() State { return l.board.read() }

// Streaming reports whether notifications are heard as they happen.
func (l *Listener) Streaming() bool { return l.State().Streaming }

// session is one life of the connection. First LISTEN, then the sweep that finds what was
// committed before.
func (l *Listener) session(ctx context.Context) error {
	conn, err := connectSQL(ctx, l.notices.heardBy(l.cfg.Conn), l.cfg.Renew)
	if err != nil {
		return err
	}
	defer closeSQL(conn)
	for _, channel := range []string{ChannelChanged, Channel} {
		if _, err := conn.Exec(ctx, "listen "+channel); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	defer l.down()
	if err := l.look(ctx, conn); err != nil {
		return err
	}
	if !l.Streaming() {
		l.sink.Missed()
	}
	return l.listen(ctx, conn)
}

// look checks whether the listener hears of new rows. It does as long as it listens, unless the
// trigger has to ring and does not. It hears of changes that a person makes in either case.
func (l *Listener) look(ctx context.Context, conn *pgx.Conn) error {
	var silent *trouble
	if l.cfg.Trigger {
		ctx, cancel := context.WithTimeout(ctx, l.cfg.SilentAfter)
		defer cancel()
		var err error
		if silent, err = triggerTrouble(ctx, conn); err != nil {
			return err
		}
	}
	switch {
	case silent != nil:
		l.down()
		l.board.say(silent)
	case !l.Streaming():
		l.board.up()
		l.metrics.up.Set(1)
		l.sink.Missed()
	}
	return nil
}

// down notes that rows are not heard of, if they were.
func (l *Listener) down() {
	if l.Streaming() {
		l.metrics.up.Set(0)
		l.board.down()
	}
}

func (l *Listener) listen(ctx context.Context, conn *pgx.Conn) error {
	looked := time.Now()
	for {
		err := l.await(ctx, conn)
		if err == nil && time.Since(looked) >= l.cfg.SilentAfter {
			looked = time.Now()
			err = l.look(ctx, conn)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("listen: %w", err)
		}
	}
}

// await returns when a notification has come, or there was none for a while and the server
// still answers.
func (l *Listener) await(ctx context.Context, conn *pgx.Conn) error {
	quiet, cancel := context.WithTimeout(ctx, l.cfg.SilentAfter)
	defer cancel()
	err := conn.PgConn().WaitForNotification(quiet)
	if err == nil || !pgconn.Timeout(err) || ctx.Err() != nil {
		return err
	}
	answer, cancel := context.WithTimeout(ctx, l.cfg.SilentAfter)
	defer cancel()
	return conn.Ping(answer)
}
