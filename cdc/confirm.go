package cdc

import (
	"context"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
)

// How often a position is told. A big transaction brings tens of thousands of keepalives,
// so progress is told at most every confirmEvery, except when the server asks.
const (
	confirmEvery = 100 * time.Millisecond
	writeTimeout = 10 * time.Second
)

// position is the session's account of what may be confirmed. It starts at zero with
// each session: no LSN is kept anywhere else, since after a promotion they go down.
type position struct {
	safe     pglogrepl.LSN // everything before it is registered, or left to the table
	told     pglogrepl.LSN // what the server was told last
	toldAt   time.Time
	midway   bool // inside a transaction whose rows are not all registered
	asked    bool // the server wants an answer now
	idle     time.Duration
	unheeded int // requests of our own since the server last said anything
}

// begin notes that the stream has received rows that the sink has not registered yet.
func (p *position) begin() { p.midway = true }

// commit notes that every row of the transaction ending at end is registered.
func (p *position) commit(end pglogrepl.LSN) {
	p.midway = false
	p.safe = max(p.safe, end)
}

// keepalive takes the server's own position, if nothing received is unregistered: what
// lies between were writes to other tables. This is what lets the slot of an idle outbox
// in a busy database advance.
func (p *position) keepalive(walEnd pglogrepl.LSN, replyRequested bool) {
	if !p.midway {
		p.safe = max(p.safe, walEnd)
	}
	p.asked = p.asked || replyRequested
}

// due returns when the next status is to be sent.
func (p *position) due() time.Time {
	switch {
	case p.asked:
		return p.toldAt
	case p.safe > p.told:
		return p.toldAt.Add(confirmEvery)
	}
	return p.toldAt.Add(p.idle)
}

// tell sends the position. All three values are set, since a flush position of zero makes
// the library send the write position instead. With ask the server is to answer, by which
// a half-open connection is told from a quiet one.
func (p *position) tell(ctx context.Context, conn *pgconn.PgConn, ask bool) error {
	// The library's own call ignores its context, and a dead peer must not hold us.
	if err := conn.Conn().SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	err := pglogrepl.SendStandbyStatusUpdate(ctx, conn, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: p.safe,
		WALFlushPosition: p.safe,
		WALApplyPosition: p.safe,
		ReplyRequested:   ask,
	})
	if err != nil {
		return err
	}
	if ask {
		p.unheeded++
	}
	p.told, p.toldAt, p.asked = p.safe, time.Now(), false
	return nil
}
