// Command receive receives messages of the relay: it checks the signature, does its work,
// and answers 2xx.
//
//	DATABASE_URL=postgres://app:secret@localhost/shop RELAY_HTTP_SECRET=whsec_… \
//	    go run ./examples/go/receive 8080 warehouse
//
// The relay takes any 2xx for 'done' and never sends the message again. Everything else,
// and no answer, means that it comes again later, with the same id.
//
// The second argument is the name under which the program receives. Give each service a name of its own: two services
// with one name would each handle half of the messages.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	tolerance = 5 * time.Minute // an older request may be a recorded one
	maxBody   = 1 << 20         // bytes; RELAY_MAX_PAYLOAD
)

func main() {
	encoded, found := strings.CutPrefix(os.Getenv("RELAY_HTTP_SECRET"), "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !found || err != nil {
		log.Fatal("RELAY_HTTP_SECRET must be set to whsec_ and the secret in base64")
	}
	db, err := pgxpool.New(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	if len(os.Args) != 3 {
		log.Fatal("usage: receive PORT CONSUMER")
	}
	mux := http.NewServeMux()
	mux.Handle("POST /", &receiver{key: key, db: db, consumer: os.Args[2]})
	server := http.Server{
		Addr: "127.0.0.1:" + os.Args[1], Handler: mux,
		ReadTimeout: 10 * time.Second,
		IdleTimeout: time.Minute, // the relay closes idle connections after 30 seconds
	}
	log.Fatal(server.ListenAndServe())
}

// receiver takes messages of the relay.
type receiver struct {
	key      []byte
	db       *pgxpool.Pool
	consumer string
}

// ServeHTTP answers 204 once the work is done, 401 to a request that is not the relay's,
// and 500 if the work failed, so that the message comes again.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, "the body is too long or was cut off", http.StatusRequestEntityTooLarge)
		return
	}
	if !r.verify(req.Header, body) {
		http.Error(w, "bad signature", http.StatusUnauthorized)
		return
	}
	id := req.Header.Get("webhook-id")
	if err := r.work(req.Context(), id, body); err != nil {
		log.Printf("message %s: %v", id, err)
		http.Error(w, "the work failed", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// verify checks a request as Standard Webhooks 1.0.0 says: the signature covers the id, the time
// and the bytes of the body. While a secret is being changed the header holds several signatures,
// and one of them must be right.
func (r *receiver) verify(header http.Header, body []byte) bool {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || err != nil || time.Since(time.Unix(seconds, 0)).Abs() > tolerance {
		return false
	}
	mac := hmac.New(sha256.New, r.key)
	io.WriteString(mac, id+"."+timestamp+".")
	mac.Write(body)
	wanted := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for signature := range strings.SplitSeq(header.Get("webhook-signature"), " ") {
		if hmac.Equal([]byte(signature), wanted) { // takes the same time wherever they differ
			return true
		}
	}
	return false
}

// work does what the message asks for, and remembers its id in the same transaction: what
// was done once is not done again. A second copy that arrives meanwhile waits in
// relay.receive() until this one has committed.
func (r *receiver) work(ctx context.Context, id string, body []byte) error {
	return pgx.BeginFunc(ctx, r.db, func(tx pgx.Tx) error {
		var first bool
		err := tx.QueryRow(ctx, "select relay.receive($1, $2)", r.consumer, id).Scan(&first)
		if err != nil || !first {
			return err
		}
		_, err = tx.Exec(ctx, "insert into shipment (message_id, what) values ($1, $2)", id, string(body))
		return err
	})
}
