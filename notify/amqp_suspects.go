package notify

import (
	"context"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// amqpSuspects sends messages one at a time, on a channel of their own: those that were under
// way when the broker closed their channel. The one that closes it again is to blame, and its exchange stays
// under suspicion until a message to it has passed: one more of its kind closes nothing but
// this channel. The operator's destinations and what rows name have one each.
type amqpSuspects struct {
	conn    *amqpConnection
	missing func()        // see amqpChannel
	turn    chan struct{} // held by the one that publishes

	mu        sync.Mutex
	channel   *amqpCall[*amqpChannel] // nil until first used; only the holder of turn publishes
	exchanges map[string]bool         // those whose last message closed its channel
}

func newAMQPSuspects(c *amqpConnection, missing func()) *amqpSuspects {
	return &amqpSuspects{conn: c, missing: missing, turn: make(chan struct{}, 1), exchanges: make(map[string]bool)}
}

// has reports whether what goes to the exchange has to go alone.
func (s *amqpSuspects) has(exchange string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exchanges[exchange]
}

func (s *amqpSuspects) set(exchange string, suspect bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if suspect {
		s.exchanges[exchange] = true
		return
	}
	delete(s.exchanges, exchange)
}

// send sends a message when its turn has come.
func (s *amqpSuspects) send(ctx context.Context, m *amqpMessage) amqpResult {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return amqpResult{verdict: amqpUnsent, err: ctx.Err()}
	case <-s.conn.gone:
		return amqpResult{verdict: amqpUnsent, err: errAMQPGone}
	}
	if err := s.ready(ctx, m); err != nil {
		return amqpResult{verdict: amqpUnsent, err: err}
	}
	channel, err := s.open(ctx)
	if err != nil {
		return amqpResult{verdict: amqpUnsent, err: err}
	}
	r := channel.send(ctx, m)
	switch r.verdict {
	case amqpLost:
		s.set(m.target.Exchange, !s.conn.isGone())
		s.blame(m, r)
	case amqpConfirmed, amqpReturned, amqpNacked:
		s.set(m.target.Exchange, false)
	case amqpExpired:
		s.giveUp(channel)
	}
	return r
}

// ready limits how often a row's message may close a channel, and how often it may ask.
func (s *amqpSuspects) ready(ctx context.Context, m *amqpMessage) error {
	if err := s.conn.ready(ctx, m); err != nil || !m.namedByRow {
		return err
	}
	return s.conn.rows.admit(ctx)
}

// blame notes what a row's message has done.
func (s *amqpSuspects) blame(m *amqpMessage, r amqpResult) {
	if !m.namedByRow {
		return
	}
	s.conn.rows.charge()
	if r.reply.code == amqp.NotFound {
		s.conn.rows.forget(entityOf(m.target))
	}
}

// open returns the channel. The caller holds the turn.
func (s *amqpSuspects) open(ctx context.Context) (*amqpChannel, error) {
	s.mu.Lock()
	if spent(s.channel) {
		s.channel = startAMQPCall(s.conn, func() (*amqpChannel, error) { return s.conn.openChannel(1, s.missing) })
	}
	call := s.channel
	s.mu.Unlock()
	return call.wait(ctx, s.conn)
}

// giveUp leaves the channel because a message is still under way on it: the next one would not be
// alone.
func (s *amqpSuspects) giveUp(channel *amqpChannel) {
	s.mu.Lock()
	s.channel = nil
	s.mu.Unlock()
	s.conn.spawn(func() { channel.ch.Close() })
}
