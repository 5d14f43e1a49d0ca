package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"relay"
)

// The numbers of orders in a hundred that are rolled back, and that commit after a savepoint with
// a message of its own was rolled back.
const (
	rollbackPercent  = 10
	savepointPercent = 10
	rabbitPercent    = 25 // of the messages go to RabbitMQ, where there is one
)

// rabbitTarget is where the shop's messages for RabbitMQ go: a topic exchange.
const rabbitTarget = "amqp:" + exchange + "/{topic}"

// transactionLimit bounds one order. An order that has begun is brought to its end although the
// shop closes: only then is its fate known.
const transactionLimit = 10 * time.Second

// shop is an application: it knows PostgreSQL and nothing else.
type shop struct {
	pool   *pgxpool.Pool
	tally  *tally
	rate   int // orders per second
	rabbit bool
}

func (d *demo) shop() *shop {
	return &shop{pool: d.servers.app, tally: d.tally, rate: d.cfg.Rate, rabbit: d.consumer != nil}
}

// run places orders at the shop's rate until ctx ends, and returns when the last
// transaction has ended.
func (s *shop) run(ctx context.Context) error {
	const clerks = 8
	limiter := rate.NewLimiter(rate.Limit(s.rate), s.rate/20+1)
	group, ctx := errgroup.WithContext(ctx)
	for range clerks {
		group.Go(func() error {
			for limiter.Wait(ctx) == nil {
				if err := s.place(context.WithoutCancel(ctx)); err != nil {
					return fmt.Errorf("the shop: %w", err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// place is the business transaction: an order and its message, or neither.
func (s *shop) place(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, transactionLimit)
	defer cancel()
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	dice := rand.IntN(100)
	id, err := s.order(ctx, tx)
	if err == nil && dice >= rollbackPercent && dice < rollbackPercent+savepointPercent {
		err = s.undone(ctx, tx)
	}
	if err != nil || dice < rollbackPercent {
		if id != (relay.ID{}) {
			s.tally.ended(rolledBack, time.Now(), id)
		}
		if rollback := tx.Rollback(ctx); err == nil {
			err = rollback
		}
		return err
	}
	// If this fails it is unknown how the transaction ended, and the tally leaves it undecided.
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	s.tally.ended(committed, time.Now(), id)
	return nil
}

// order inserts the business row and, beside it, the message: the whole use of an outbox.
func (s *shop) order(ctx context.Context, tx pgx.Tx) (id relay.ID, err error) {
	customer, cents := fmt.Sprintf("customer-%d", rand.IntN(1000)), 100+rand.IntN(20000)
	var number int64
	const insertOrder = `insert into public.orders (customer, cents) values ($1, $2) returning id`
	if err := tx.QueryRow(ctx, insertOrder, customer, cents).Scan(&number); err != nil {
		return id, err
	}
	return s.message(ctx, tx, "order.placed", fmt.Sprintf(`{"order": %d, "customer": %q, "cents": %d}`, number, customer, cents))
}

// undone inserts a message after a savepoint and rolls back to it, as an application does
// that tries something and goes on without.
func (s *shop) undone(ctx context.Context, tx pgx.Tx) error {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	id, err := s.message(ctx, savepoint, "order.discounted", `{"percent": 90}`)
	if err != nil {
		return err
	}
	s.tally.ended(rolledBack, time.Now(), id)
	return savepoint.Rollback(ctx)
}

func (s *shop) message(ctx context.Context, tx pgx.Tx, topic, payload string) (id relay.ID, err error) {
	by := viaHTTP
	var destination *string // null: the relay's default, the receiver
	if s.rabbit && rand.IntN(100) < rabbitPercent {
		to := rabbitTarget
		by, destination = viaRabbit, &to
	}
	const insert = `insert into relay.outbox (topic, payload, destination) values ($1, $2, $3) returning id`
	if err := tx.QueryRow(ctx, insert, topic, payload, destination).Scan((*[16]byte)(&id)); err != nil {
		return id, err
	}
	s.tally.inserted(id, by)
	return id, nil
}
