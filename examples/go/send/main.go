// Command send takes an order and says so: one row in our own table and one in
// relay.outbox, in one transaction. Either both are there afterwards, or neither.
//
//	DATABASE_URL=postgres://app:secret@localhost/shop go run ./examples/go/send Ada 4200
//	… go run ./examples/go/send -roll-back Ada 4200
//
// The second one changes its mind, and nothing is sent.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// order is what others hear of an order.
type order struct {
	ID       int64  `json:"order"`
	Customer string `json:"customer"`
	Cents    int    `json:"cents"`
}

// errChangedMind rolls the transaction back.
var errChangedMind = errors.New("changed my mind")

func main() {
	log.SetFlags(0)
	rollBack := flag.Bool("roll-back", false, "change one's mind before the commit")
	flag.Parse()
	cents, err := strconv.Atoi(flag.Arg(1))
	if flag.NArg() != 2 || err != nil {
		log.Fatal("usage: send [-roll-back] CUSTOMER CENTS")
	}
	if err := send(context.Background(), order{Customer: flag.Arg(0), Cents: cents}, *rollBack); err != nil {
		log.Fatal(err)
	}
}

func send(ctx context.Context, o order, rollBack bool) error {
	db, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.Close(ctx)

	// BeginFunc commits if the function returns nil, and rolls back if it returns an error.
	var message string
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if message, err = takeOrder(ctx, tx, o); err == nil && rollBack {
			err = errChangedMind
		}
		return err
	})
	switch {
	case errors.Is(err, errChangedMind):
		fmt.Println("rolled back", message)
	case err != nil:
		return err
	default:
		fmt.Println("committed", message)
	}
	return nil
}

// takeOrder inserts the order and its message and returns the message's id.
func takeOrder(ctx context.Context, tx pgx.Tx, o order) (message string, err error) {
	err = tx.QueryRow(ctx, "insert into orders (customer, cents) values ($1, $2) returning id",
		o.Customer, o.Cents).Scan(&o.ID)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	err = tx.QueryRow(ctx, "insert into relay.outbox (topic, key, payload) values ($1, $2, $3) returning id::text",
		"order.created", fmt.Sprintf("order-%d", o.ID), string(payload)).Scan(&message)
	return message, err
}
