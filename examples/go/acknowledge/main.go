// Command acknowledge receives messages of the relay, works on them after it has answered,
// and then says how that ended. The subscription has ack = 'consumer':
//
//	go run ./examples/go/acknowledge 8080
//
// If it dies meanwhile the message comes again after the subscription's ack_timeout, with
// the same id. Check the signature and work once, as the program receive shows.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

const maxBody = 1 << 20 // bytes; RELAY_MAX_PAYLOAD

// errNever is an error that another attempt cannot mend.
var errNever = errors.New("the order has no customer")

func main() {
	port := "8080"
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	server := http.Server{Addr: "127.0.0.1:" + port, Handler: http.HandlerFunc(receive), ReadTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// receive takes a message, answers 202, and has the work done.
func receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body is too long or was cut off", http.StatusRequestEntityTooLarge)
		return
	}
	go handle(r.Header.Get("webhook-id"), r.Header.Get("relay-ack-url"), body)
	w.WriteHeader(http.StatusAccepted)
}

// handle works on a message and tells the relay how that ended.
func handle(id, ackURL string, body []byte) {
	said := map[string]any{"outcome": "handled"}
	if err := work(body); err != nil {
		log.Printf("message %s: %v", id, err)
		said = map[string]any{"outcome": "failed", "error": err.Error(), "retry": !errors.Is(err, errNever)}
	}
	if err := acknowledge(ackURL, said); err != nil {
		log.Printf("message %s: %v", id, err) // it comes again
	}
}

// work is where the order would be shipped.
func work(body []byte) error {
	var order struct{ Customer string }
	if err := json.Unmarshal(body, &order); err != nil || order.Customer == "" {
		return errNever
	}
	return nil
}

// acknowledge posts the outcome, again for a while if the relay cannot be reached or its
// database does not answer. 409 is fine too: the delivery has ended.
func acknowledge(url string, said map[string]any) error {
	body, err := json.Marshal(said)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 10 * time.Second}
	for try := 1; ; try++ {
		response, err := client.Post(url, "application/json", bytes.NewReader(body))
		if err == nil {
			response.Body.Close()
			if response.StatusCode < 500 {
				return nil
			}
			err = fmt.Errorf("the relay answered %s", response.Status)
		}
		if try == 5 {
			return err
		}
		time.Sleep(time.Duration(try) * time.Second)
	}
}
