package cdc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"relay"
)

const (
	// ringChunk bounds what one hand-over holds. The rows of a transaction come only after
	// it has committed, so a large one is passed on in parts as they arrive.
	ringChunk = 1000
	// ringPatience is how long a hand-over may take before the server is told meanwhile
	// that we are alive.
	ringPatience = time.Second
	// unheededLimit is how many requests may go without any word from the server.
	unheededLimit = 3
	// leaveTimeout bounds the good-bye.
	leaveTimeout = 2 * time.Second
)

// pump moves one session's rows from the replication connection to the sink and its
// positions back. One goroutine alone uses it, and the connection.
type pump struct {
	conn    *pgconn.PgConn
	decoder *decoder
	pos     position
	batch   []relay.Ring
	xid     uint32
	missed  bool // the transaction under way has rows that the stream does not identify
	canary  bool // it holds a canary, and is not counted
	stream  *Stream
	watcher *watcher
	bell    *bell
}

func newPump(conn *pgconn.PgConn, s *Stream, w *watcher) *pump {
	return &pump{
		conn:    conn,
		decoder: newDecoder(),
		pos:     position{toldAt: time.Now(), idle: s.cfg.SilentAfter / (unheededLimit + 1)},
		stream:  s,
		watcher: w,
		bell:    &bell{sink: s.sink, rings: make(chan []relay.Ring), rung: make(chan struct{}, 1)},
	}
}

// bell calls the sink from a goroutine of its own, so that a call which takes long does
// not keep the owner of the connection from telling the server that we are alive.
type bell struct {
	sink  sink
	rings chan []relay.Ring
	rung  chan struct{} // holds one, since no goroutine may be waiting for the last one
}

// run ends when rings is closed.
func (b *bell) run() {
	for rings := range b.rings {
		b.sink.Ring(rings)
		b.rung <- struct{}{}
	}
}

// run pumps until something fails, or until ctx ends: then it tells the last position,
// takes leave and returns nil.
func (p *pump) run(ctx context.Context) error {
	for {
		err := p.listen(ctx)
		if ctx.Err() != nil {
			return p.leave()
		}
		if err != nil {
			return err
		}
		if time.Now().Before(p.pos.due()) {
			continue
		}
		if p.pos.unheeded >= unheededLimit {
			return errSilent
		}
		idle := !p.pos.asked && p.pos.safe == p.pos.told
		if err := p.tell(ctx, idle); err != nil {
			return err
		}
	}
}

// listen handles what comes until the time at which a status is due has come, or has
// changed, or ctx ends. The context with the deadline serves many reads: one for each read
// would cost more than decoding.
func (p *pump) listen(ctx context.Context) error {
	due := p.pos.due()
	tick, cancel := context.WithDeadline(ctx, due)
	defer cancel()
	for !p.pos.due().Before(due) {
		msg, err := p.conn.ReceiveMessage(tick)
		if err != nil && tick.Err() != nil && interrupted(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the stream: %w", err)
		}
		p.pos.unheeded = 0
		if err := p.handle(ctx, msg); err != nil {
			return err
		}
	}
	return nil
}

// interrupted reports whether a read ended by its context, and the connection is sound.
func interrupted(err error) bool {
	return pgconn.Timeout(err) || errors.Is(err, context.Canceled)
}

func (p *pump) handle(ctx context.Context, msg pgproto3.BackendMessage) error {
	switch msg := msg.(type) {
	case *pgproto3.CopyData:
		return p.copyData(ctx, msg.Data)
	case *pgproto3.ErrorResponse:
		return fmt.Errorf("read the stream: %w", pgconn.ErrorResponseToPgError(msg))
	case *pgproto3.CopyDone, *pgproto3.CommandComplete, *pgproto3.ReadyForQuery:
		// Walsenders end the copy of their own accord only when the server goes.
		return errStopping
	}
	return nil
}

func (p *pump) copyData(ctx context.Context, data []byte) error {
	if len(data) == 0 {
		return errMalformed
	}
	switch data[0] {
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		k, err := pglogrepl.ParsePrimaryKeepaliveMessage(data[1:])
		if err != nil {
			return fmt.Errorf("%w: %w", errMalformed, err)
		}
		p.pos.keepalive(k.ServerWALEnd, k.ReplyRequested)
	case pglogrepl.XLogDataByteID:
		x, err := pglogrepl.ParseXLogData(data[1:])
		if err != nil {
			return fmt.Errorf("%w: %w", errMalformed, err)
		}
		e, err := p.decoder.decode(x.WALData)
		if err != nil {
			return err
		}
		return p.take(ctx, e)
	}
	return nil
}

// take follows a transaction from its beginning to its commit. Its position may be
// confirmed only when all its rows are registered.
func (p *pump) take(ctx context.Context, e event) error {
	switch e.kind {
	case eventBegin:
		p.xid = e.xid
		p.pos.begin()
	case eventUnreadable:
		p.missed = true
		p.stream.metrics.unreadable.Inc()
	case eventCanary:
		p.canary = true
		p.watcher.sang(e.ring.ID)
	case eventRing:
		e.ring.Xid = p.xid
		p.batch = append(p.batch, e.ring)
		if len(p.batch) == ringChunk {
			return p.ring(ctx)
		}
	case eventCommit:
		if err := p.ring(ctx); err != nil {
			return err
		}
		if p.missed {
			p.missed = false
			p.stream.board.warn("rows came without an id, since the publication lacked it then; they are swept instead")
			p.stream.sink.Missed()
		}
		p.pos.commit(e.end)
		if p.canary {
			p.canary = false
			return nil
		}
		p.stream.metrics.transactions.Inc()
		p.stream.metrics.delay.Observe(max(0, time.Since(e.at).Seconds()))
	}
	return nil
}

// ring hands the batch over and waits until the sink has it. When ctx ends, it waits a
// little longer and then gives up, since a server that shuts down waits for us.
func (p *pump) ring(ctx context.Context) error {
	if len(p.batch) == 0 {
		return nil
	}
	p.stream.metrics.rings.Add(float64(len(p.batch)))
	p.bell.rings <- p.batch
	p.batch = nil
	patience := time.NewTimer(ringPatience)
	defer patience.Stop()
	for {
		select {
		case <-p.bell.rung:
			return nil
		case <-patience.C:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := p.tell(ctx, false); err != nil {
				return err
			}
			patience.Reset(ringPatience)
		}
	}
}

func (p *pump) tell(ctx context.Context, ask bool) error {
	if err := p.pos.tell(ctx, p.conn, ask); err != nil {
		return fmt.Errorf("confirm %s: %w", p.pos.safe, err)
	}
	p.stream.metrics.statuses.Inc()
	p.stream.board.update(func(st *State) { st.Confirmed = p.pos.told })
	p.watcher.passed(p.pos.told)
	return nil
}

// leave tells the last position and ends the copy in good order, so that the server has
// read the position when the connection is closed. It gives up after leaveTimeout, for
// instance in the midst of a large transaction, which the server sends to its end first.
func (p *pump) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := p.tell(ctx, false); err != nil {
		return err
	}
	p.conn.Frontend().Send(&pgproto3.CopyDone{})
	if err := p.conn.Frontend().Flush(); err != nil {
		return fmt.Errorf("end the copy: %w", err)
	}
	for {
		msg, err := p.conn.ReceiveMessage(ctx)
		if err != nil {
			return nil // too late, or the server has gone; the position is on its way
		}
		if _, ready := msg.(*pgproto3.ReadyForQuery); ready {
			return nil
		}
	}
}
