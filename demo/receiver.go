package demo

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"relay"
)

// httpTimeout is the relay's RELAY_HTTP_TIMEOUT in the demo.
const httpTimeout = time.Second

// fault is a way in which the receiver fails on purpose.
type fault int

const (
	faultNone  fault = iota
	faultError       // answers 500
	faultBusy        // answers 503
	faultSlow        // does its work and answers when the relay has given up
	faults           // how many there are
)

// pickFault fails six of a hundred requests.
func pickFault() fault {
	switch dice := mathrand.IntN(1000); {
	case dice < 30:
		return faultError
	case dice < 55:
		return faultBusy
	case dice < 60:
		return faultSlow
	}
	return faultNone
}

// receiver is a consumer's HTTP endpoint: it checks the signature, does its work once per
// message id, and then answers 2xx.
type receiver struct {
	secret   string
	signed   *standardwebhooks.Webhook
	listener net.Listener
	tally    *tally
	screen   *screen
}

// newReceiver opens an endpoint on a free port with a new signing secret.
func newReceiver(t *tally, s *screen) (*receiver, error) {
	key := make([]byte, 32)
	rand.Read(key)
	r := &receiver{secret: "whsec_" + base64.StdEncoding.EncodeToString(key), tally: t, screen: s}
	var err error
	if r.signed, err = standardwebhooks.NewWebhook(r.secret); err != nil {
		return nil, err
	}
	if r.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("open the receiver: %w", err)
	}
	return r, nil
}

func (r *receiver) url() string { return r.at("/orders") }

// at returns the address of one of the receiver's paths.
func (r *receiver) at(path string) string { return "http://" + r.listener.Addr().String() + path }

// run serves until ctx ends.
func (r *receiver) run(ctx context.Context) error {
	server := &http.Server{
		Handler: r, ReadHeaderTimeout: httpTimeout, ReadTimeout: httpTimeout, WriteTimeout: httpTimeout, IdleTimeout: time.Minute,
	}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(r.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the receiver: %w", err)
	}
	return nil
}

// ServeHTTP takes one attempt. It implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 2<<20))
	if err != nil {
		http.Error(w, "unreadable", http.StatusBadRequest)
		return
	}
	id, err := relay.ParseID(req.Header.Get("webhook-id"))
	if err != nil || r.signed.Verify(body, req.Header) != nil {
		r.tally.refused()
		http.Error(w, "the signature is not valid", http.StatusUnauthorized)
		return
	}
	if req.URL.Path != "/orders" {
		r.answerTrouble(w, req, body)
		return
	}
	attempt, _ := strconv.Atoi(req.Header.Get("relay-attempt")) // zero: none, which counts as the first
	if !r.tally.arrived(id, attempt, at) {
		r.screen.print(greeting(viaHTTP, req.Header.Get("ce-type"), body, since(req.Header.Get("ce-time"), at)))
		w.WriteHeader(http.StatusNoContent)
		return
	}
	r.answer(w, req, id)
}

// answer accepts a message of the shop's, or fails.
func (r *receiver) answer(w http.ResponseWriter, req *http.Request, id relay.ID) {
	f := pickFault()
	r.tally.failed(f)
	switch f {
	case faultError:
		http.Error(w, "failed on purpose", http.StatusInternalServerError)
		return
	case faultBusy:
		http.Error(w, "busy on purpose", http.StatusServiceUnavailable)
		return
	case faultSlow:
		select {
		case <-req.Context().Done():
		case <-time.After(2 * httpTimeout):
		}
	}
	r.tally.accept(id)
	w.WriteHeader(http.StatusNoContent)
}

// since returns the time from an RFC 3339 text to at. Zero means that the text is no such answer.
func since(text string, at time.Time) time.Duration {
	from, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0
	}
	return max(at.Sub(from), 0)
}
