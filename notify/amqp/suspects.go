package amqp

import (
	"context"
	"sync"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// suspects sends messages one at a time, on a channel of their own: those that were under
// way when the broker closed their channel. The one that closes it again is to blame, and its exchange stays
// under suspicion until a message to it has passed: one more of its kind closes nothing but
// this channel. The operator's destinations and what rows name have one each.
type suspects struct {
	conn    *connection
	missing func()        // see channel
	turn    chan struct{} // held by the one that publishes

	mu        sync.Mutex
	channel   *call[*channel] // nil until first used; only the holder of turn publishes
	exchanges map[string]bool // those whose last message closed its channel
}

func newSuspects(c *connection, missing func()) *suspects {
	return &suspects{conn: c, missing: missing, turn: make(chan struct{}, 1), exchanges: make(map[string]bool)}
}

// has reports whether what goes to the exchange has to go alone.
func (s *suspects) has(exchange string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exchanges[exchange]
}

func (s *suspects) set(exchange string, suspect bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if suspect {
		s.exchanges[exchange] = true
		return
	}
	delete(s.exchanges, exchange)
}

// send sends a message when its turn has come.
func (s *suspects) send(ctx context.Context, m *message) result {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return result{verdict: verdictUnsent, err: ctx.Err()}
	case <-s.conn.gone:
		return result{verdict: verdictUnsent, err: errGone}
	}
	if err := s.ready(ctx, m); err != nil {
		return result{verdict: verdictUnsent, err: err}
	}
	channel, err := s.open(ctx)
	if err != nil {
		return result{verdict: verdictUnsent, err: err}
	}
	r := channel.send(ctx, m)
	switch r.verdict {
	case verdictLost:
		s.set(m.target.Exchange, !s.conn.isGone())
		s.blame(m, r)
	case verdictConfirmed, verdictReturned, verdictNacked:
		s.set(m.target.Exchange, false)
	case verdictExpired:
		s.giveUp(channel)
	}
	return r
}

// ready limits how often a row's message may close a channel, and how often it may ask.
func (s *suspects) ready(ctx context.Context, m *message) error {
	if err := s.conn.ready(ctx, m); err != nil || !m.namedByRow {
		return err
	}
	return s.conn.rows.admit(ctx)
}

// blame notes what a row's message has done.
func (s *suspects) blame(m *message, r result) {
	if !m.namedByRow {
		return
	}
	s.conn.rows.charge()
	if r.reply.code == amqp091.NotFound {
		s.conn.rows.forget(entityOf(m.target))
	}
}

// open returns the channel. The caller holds the turn.
func (s *suspects) open(ctx context.Context) (*channel, error) {
	s.mu.Lock()
	if spent(s.channel) {
		s.channel = startCall(s.conn, func() (*channel, error) { return s.conn.openChannel(1, s.missing) })
	}
	call := s.channel
	s.mu.Unlock()
	return call.wait(ctx, s.conn)
}

// giveUp leaves the channel because a message is still under way on it: the next one would not be
// alone.
func (s *suspects) giveUp(channel *channel) {
	s.mu.Lock()
	s.channel = nil
	s.mu.Unlock()
	s.conn.spawn(func() { channel.ch.Close() })
}
