// Command consume receives messages of the relay from a queue of RabbitMQ: it does its work,
// and acks when that is committed.
//
//	DATABASE_URL=postgres://app:secret@localhost/shop AMQP_URL=amqp://app:secret@localhost/ \
//	    go run ./examples/go/consume orders warehouse
//
// RabbitMQ gives a message that was not acked to the next consumer, with the same id. The
// program ends when the broker is lost; what starts it should start it again.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	prefetch = 10          // messages that the broker sends ahead of the acks
	pause    = time.Second // before a message whose work failed goes back
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: consume QUEUE CONSUMER")
	}
	log.Fatal(consume(context.Background(), os.Args[1], os.Args[2]))
}

// consume works on one message after the other until the broker is lost.
func consume(ctx context.Context, queue, consumer string) error {
	db, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := amqp.Dial(os.Getenv("AMQP_URL"))
	if err != nil {
		return err
	}
	defer conn.Close()
	deliveries, err := subscribe(conn, queue)
	if err != nil {
		return err
	}
	for d := range deliveries {
		if err := handle(ctx, db, consumer, d); err != nil {
			return err
		}
	}
	return errors.New("the broker is lost")
}

// subscribe declares the queue as the relay does for amqp:/<queue>, so that either may be
// there first, and consumes from it.
func subscribe(conn *amqp.Connection, queue string) (<-chan amqp.Delivery, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	_, err = ch.QueueDeclare(queue, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
	if err != nil {
		return nil, err
	}
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return nil, err
	}
	const autoAck = false
	return ch.Consume(queue, "", autoAck, false, false, false, nil)
}

// handle works on one message and tells the broker what became of it. The error is that of
// the telling.
func handle(ctx context.Context, db *pgxpool.Pool, consumer string, d amqp.Delivery) error {
	var id pgtype.UUID
	if err := id.Scan(d.MessageId); err != nil {
		log.Printf("message %q is not the relay's", d.MessageId)
		return d.Reject(false) // for good
	}
	if err := work(ctx, db, consumer, id, d.Body); err != nil {
		log.Printf("message %s: %v", d.MessageId, err)
		time.Sleep(pause)
		return d.Nack(false, true) // it comes again
	}
	return d.Ack(false)
}

// work does what the message asks for, and remembers its id in the same transaction: what
// was done once is not done again.
func work(ctx context.Context, db *pgxpool.Pool, consumer string, id pgtype.UUID, body []byte) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		var first bool
		err := tx.QueryRow(ctx, "select relay.receive($1, $2)", consumer, id).Scan(&first)
		if err != nil || !first {
			return err
		}
		_, err = tx.Exec(ctx, "insert into shipment (message_id, what) values ($1, $2)", id, string(body))
		return err
	})
}
