package demo

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"
)

// What a visitor of the console can see and mend: two subscriptions beside the shop's orders.
//
//   - billing refuses the invoices of one customer. The first is dead after two attempts and blocks its key, so that
//     the customer's later invoices wait behind it: skip it, or change the target to /billing and retry.
//   - warehouse has moved, and says so: change the target to the address in its answer.
const (
	billing   = "billing"
	warehouse = "warehouse"
	refused   = "customer-3" // whose invoices billing refuses
)

// troubleEvery is the time between two messages of the troubles.
const troubleEvery = 250 * time.Millisecond

// troubles are the relay's commands that make the two subscriptions.
func (d *demo) troubles() [][]string {
	return [][]string{
		{"subscriptions", "set", billing, "--topics", "invoice.*", "--target", d.receiver.at("/billing/strict"),
			"--max-attempts", "2", "--on-dead", "block"},
		{"subscriptions", "set", warehouse, "--topics", "stock.*", "--target", d.receiver.at("/warehouse/old"), "--backoff", "1s,5s,30s"},
	}
}

// trouble inserts messages for both subscriptions until ctx ends.
func (d *demo) trouble(ctx context.Context) error {
	const insert = `insert into relay.outbox (topic, key, source, payload) values ($1, $2, $3, $4)`
	tick := time.NewTicker(troubleEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		topic, source, key := "invoice.issued", "accounts", fmt.Sprintf("customer-%d", n/8%6)
		if n%8 == 0 {
			topic, source, key = "stock.changed", "stockroom", fmt.Sprintf("item-%d", n%40)
		}
		payload := fmt.Sprintf(`{"number": %d, "for": %q, "amount": %d.50}`, n, key, 10+n%90)
		if _, err := d.servers.app.Exec(ctx, insert, topic, key, source, payload); err != nil && ctx.Err() == nil {
			return fmt.Errorf("insert a message for %s: %w", topic, err)
		}
	}
}

// answerTrouble answers as the receivers of the two subscriptions.
func (r *receiver) answerTrouble(w http.ResponseWriter, req *http.Request, body []byte) {
	switch {
	case req.URL.Path == "/billing/strict" && bytes.Contains(body, []byte(`"`+refused+`"`)):
		http.Error(w, refused+" has no tax number: skip this invoice, or set the target to "+r.at("/billing")+" and retry", http.StatusUnprocessableEntity)
	case req.URL.Path == "/warehouse/old":
		http.Error(w, "the warehouse has moved: set the target to "+r.at("/warehouse"), http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
