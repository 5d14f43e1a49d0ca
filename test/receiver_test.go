package test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"relay/test/checker"
)

// received is one request that reached a receiver.
type received struct {
	id     string
	header http.Header
	body   []byte
}

// receiver is an HTTP endpoint that keeps what it received.
type receiver struct {
	URL string

	// discard says that bodies are not kept.
	discard bool

	mu      sync.Mutex
	all     []received
	accepts []checker.Receipt
	counts  map[string]int // accepted, by message id
	answers func(w http.ResponseWriter, r *http.Request) bool
}

// newReceiver starts a receiver that answers 200. With answers set, it decides: it writes
// the answer and reports whether the message counts as accepted.
func newReceiver(t testing.TB, answers func(w http.ResponseWriter, r *http.Request) bool) *receiver {
	t.Helper()
	r := &receiver{counts: make(map[string]int), answers: answers}
	server := httptest.NewServer(r)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	r.URL = server.URL
	return r
}

// gate holds requests back until it is closed, but none whose sender has gone: a receiver ends with its test, whatever
// state that is in.
type gate chan struct{}

// pass waits, and reports whether the gate was closed.
func (g gate) pass(r *http.Request) bool {
	select {
	case <-g:
		return true
	case <-r.Context().Done():
		return false
	}
}

// answer is what a receiver answers that has all its requests held back.
func (g gate) answer(_ http.ResponseWriter, r *http.Request) bool { return g.pass(r) }

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	if r.discard {
		body = nil
	}
	id := req.Header.Get("webhook-id")
	r.mu.Lock()
	r.all = append(r.all, received{id: id, header: req.Header.Clone(), body: body})
	r.mu.Unlock()
	if r.answers != nil && !r.answers(w, req) {
		return
	}
	attempt, _ := strconv.Atoi(req.Header.Get("relay-attempt"))
	r.note(checker.Receipt{Receiver: toHTTP, ID: id, Attempt: attempt, At: time.Now()})
}

func (r *receiver) note(receipt checker.Receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[receipt.ID]++
	r.accepts = append(r.accepts, receipt)
}

// accept counts messages as accepted that came by another way, at a time that is not known.
func (r *receiver) accept(ids []string) {
	for _, id := range ids {
		r.note(checker.Receipt{Receiver: toHTTP, ID: id})
	}
}

// repeated are the messages accepted more than once.
func (r *receiver) repeated() (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, n := range r.counts {
		if n > 1 {
			ids = append(ids, id)
		}
	}
	return ids
}

// receipts are the acceptances in order of time.
func (r *receiver) receipts() []checker.Receipt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.accepts)
}

// distinct is the number of messages accepted at least once.
func (r *receiver) distinct() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.counts)
}

// accepted is how often a message was accepted.
func (r *receiver) accepted(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[id]
}

// duplicates is the number of acceptances beyond the first of each message.
func (r *receiver) duplicates() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, c := range r.counts {
		n += c - 1
	}
	return n
}

// requests returns the requests for a message, or all for an empty id.
func (r *receiver) requests(id string) []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []received
	for _, one := range r.all {
		if id == "" || one.id == id {
			out = append(out, one)
		}
	}
	return out
}
