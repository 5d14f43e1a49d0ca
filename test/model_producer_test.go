package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay/test/checker"
)

// modelWorkers is how many producers a model has; they share all keys.
const modelWorkers = 3

var modelTopics = []string{"order.created", "order.paid", "order.paid.late", "stock.low", "user.created", "odd"}

// producer is one session that inserts. What it does is drawn from its seed; a failure to
// insert, which nothing in a model causes, fails the test.
type producer struct {
	m      *model
	random *rand.Rand
	worker int
	n      int // transactions begun
	conn   *pgxpool.Conn
	kept   []checker.Message // of the transaction, as what follows
	undone []checker.Message // by a savepoint
}

// produce starts the producers.
func (m *model) produce(seed uint64) {
	ctx, cancel := context.WithCancel(m.t.Context())
	m.stop = cancel
	m.t.Cleanup(func() { cancel(); m.actors.Wait() })
	for worker := range modelWorkers {
		m.actors.Go(func() {
			p := &producer{m: m, worker: worker, random: rand.New(rand.NewPCG(seed, uint64(10+worker)))}
			for ctx.Err() == nil {
				if err := p.transaction(context.WithoutCancel(ctx)); err != nil {
					m.t.Errorf("a producer: %v", err)
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Duration(p.random.IntN(120)) * time.Millisecond):
				}
			}
		})
	}
}

func (p *producer) exec(ctx context.Context, statement string) error {
	_, err := p.conn.Exec(ctx, statement)
	return err
}

// transaction makes one transaction and notes how it ended.
func (p *producer) transaction(ctx context.Context) (err error) {
	p.n++
	p.kept, p.undone = nil, nil
	if p.conn, err = p.m.app.Acquire(ctx); err != nil {
		return err
	}
	defer p.conn.Release()
	if err := p.exec(ctx, "begin"); err != nil {
		return err
	}
	for range 1 + p.random.IntN(3) {
		if err := p.part(ctx); err != nil {
			return err
		}
	}
	if err := p.end(ctx); err != nil {
		return err
	}
	p.m.note(p.kept, p.undone)
	return nil
}

// part inserts in a savepoint or outside of one.
func (p *producer) part(ctx context.Context) error {
	switch p.random.IntN(6) {
	case 0:
		return p.inSavepoint(ctx, "rollback to savepoint s", &p.undone)
	case 1:
		return p.inSavepoint(ctx, "release savepoint s", &p.kept)
	}
	return p.insert(ctx, &p.kept)
}

func (p *producer) inSavepoint(ctx context.Context, end string, into *[]checker.Message) error {
	if err := p.exec(ctx, "savepoint s"); err != nil {
		return err
	}
	if err := p.insert(ctx, into); err != nil {
		return err
	}
	return p.exec(ctx, end)
}

// insert makes one message, or now and then many of one key.
func (p *producer) insert(ctx context.Context, into *[]checker.Message) error {
	one := checker.Message{Topic: modelTopics[p.random.IntN(len(modelTopics))]}
	if p.random.IntN(4) > 0 {
		one.Key = fmt.Sprint("key-", min(p.random.IntN(14), p.random.IntN(14)))
	}
	destination := ""
	switch p.random.IntN(12) {
	case 0:
		one.Destination, destination = checker.Direct, p.m.inboxes.URL+checker.Direct
	case 1:
		one.Destination = modelSubscriptions[p.random.IntN(len(modelSubscriptions))].name
		destination = one.Destination
	}
	many := 1
	switch p.random.IntN(60) {
	case 0:
		many = 100
	case 1, 2, 3, 4:
		one.Due = time.Now().Add(time.Duration(p.random.IntN(3000)) * time.Millisecond).Truncate(time.Microsecond).Round(0)
	}
	one.Begun = time.Now()
	rows, err := p.conn.Query(ctx, `insert into relay.outbox (topic, key, destination, deliver_at)
		select $1, nullif($2, ''), nullif($3, ''), nullif($4, '0001-01-01z'::timestamptz) from generate_series(1, $5) returning id::text`,
		one.Topic, one.Key, destination, one.Due, many)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&one.ID); err != nil {
			return err
		}
		*into = append(*into, one)
	}
	return rows.Err()
}

// end commits or rolls back, in one phase or two.
func (p *producer) end(ctx context.Context) error {
	outcome := checker.Committed
	if p.random.IntN(6) == 0 {
		outcome = checker.RolledBack
	}
	last := map[checker.Outcome]string{checker.Committed: "commit", checker.RolledBack: "rollback"}[outcome]
	switch p.random.IntN(10) {
	case 0:
		if err := p.exec(ctx, "set local synchronous_commit = off"); err != nil {
			return err
		}
	case 1:
		gid := fmt.Sprintf("'%s-%d-%d'", p.m.db.Name, p.worker, p.n)
		if err := p.exec(ctx, "prepare transaction "+gid); err != nil {
			return err
		}
		<-time.After(time.Duration(p.random.IntN(300)) * time.Millisecond)
		last += " prepared " + gid
	}
	if err := p.exec(ctx, last); err != nil {
		return err
	}
	ended := time.Now()
	for i := range p.kept {
		p.kept[i].Outcome, p.kept[i].Ended = outcome, ended
	}
	for i := range p.undone {
		p.undone[i].Outcome = checker.RolledBack
	}
	return nil
}

func (m *model) note(kept, undone []checker.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent = append(append(m.sent, kept...), undone...)
}
