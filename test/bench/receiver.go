package main

import (
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// recorder collects latencies. The zero value is ready.
type recorder struct {
	mu  sync.Mutex
	all []time.Duration
}

// body notes the latency of a message that has just arrived.
func (r *recorder) body(b []byte) {
	sent, ok := sentAt(b)
	if !ok {
		return
	}
	latency := time.Since(sent)
	r.mu.Lock()
	r.all = append(r.all, latency)
	r.mu.Unlock()
}

// take returns what was collected since the last call, in ascending order.
func (r *recorder) take() latencies {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.all
	r.all = nil
	slices.Sort(out)
	return out
}

// latencies are in ascending order.
type latencies []time.Duration

// quantile returns the time that a share of all did not exceed.
func (l latencies) quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(len(l)-1, int(q*float64(len(l))))]
}

// receiver is an HTTP endpoint that answers 200 after a delay.
type receiver struct {
	recorder
	url   string
	delay time.Duration
	// refused is a key whose messages are answered with 500; empty: none.
	refused string
	count   atomic.Int64
	server  *http.Server
	ended   chan struct{}
}

// newReceiver starts an endpoint. The caller closes it.
func newReceiver(delay time.Duration) (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + listener.Addr().String() + "/", delay: delay, ended: make(chan struct{})}
	r.server = &http.Server{Handler: r}
	go func() { defer close(r.ended); _ = r.server.Serve(listener) }()
	return r, nil
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if r.refuses(req) {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	body := make([]byte, payloadBytes)
	n, err := io.ReadFull(req.Body, body)
	if err != nil && n == 0 {
		return
	}
	r.body(body[:n])
	if r.delay > 0 {
		time.Sleep(r.delay)
	}
	r.count.Add(1)
}

func (r *receiver) close() error {
	err := r.server.Close()
	<-r.ended
	return err
}
