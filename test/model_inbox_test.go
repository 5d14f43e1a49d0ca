package test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"relay/test/checker"
)

// mood is what a subscriber does with what comes.
type mood int

const (
	accepting mood = iota
	refusing       // 503
	failing        // 500
	resetting      // the connection is reset, and nothing was accepted
	silent         // no answer
	mumbling       // it accepts, and the answer gets lost
	moods
)

// inboxes are the receivers of a model, each by the name of its subscription, and what came.
type inboxes struct {
	URL       string // of an HTTP inbox, up to its name
	amqp      string
	consumers consumers

	mu       sync.Mutex
	moods    map[string]mood
	received []checker.Receipt
	requests []checker.Receipt
	asked    map[checker.Receipt]int // by receiver and message alone, as what follows
	accepted map[checker.Receipt]int
}

// toBroker names exchange, queue and subscriber of a model's broker.
const toBroker = "broker"

// newInboxes starts the receivers; relays lists where acknowledgements are taken.
func newInboxes(t testing.TB, broker string, relays func() []string) *inboxes {
	t.Helper()
	in := &inboxes{amqp: broker, moods: make(map[string]mood), asked: make(map[checker.Receipt]int), accepted: make(map[checker.Receipt]int),
		consumers: consumers{relays: relays, ctx: t.Context()}}
	server := httptest.NewServer(in)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	in.URL = server.URL + "/"
	in.consume(t)
	return in
}

// set gives a subscriber a mood and returns what ends it.
func (in *inboxes) set(name string, as mood) (end func() error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.moods[name] = as
	return func() error {
		in.mu.Lock()
		defer in.mu.Unlock()
		delete(in.moods, name)
		return nil
	}
}

// ServeHTTP implements http.Handler.
func (in *inboxes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in.serve(w, r, strings.TrimPrefix(r.URL.Path, "/"))
}

// serve does what the subscriber of that name does with a request.
func (in *inboxes) serve(w http.ResponseWriter, r *http.Request, name string) {
	attempt, _ := strconv.Atoi(r.Header.Get("relay-attempt"))
	id := r.Header.Get("webhook-id")
	as, n := in.arrived(name, id, attempt)
	switch as {
	case accepting:
		if name == toConsumer {
			in.consumers.take(w, r, id, n)
		}
	case refusing:
		w.WriteHeader(http.StatusServiceUnavailable)
	case failing:
		w.WriteHeader(http.StatusInternalServerError)
	case silent:
		<-r.Context().Done()
	case resetting, mumbling:
		panic(http.ErrAbortHandler)
	}
}

// arrived notes a message and returns what the subscriber does with it, and how often it has
// accepted it. Some messages alone fail at first, or are accepted without an answer, which
// their ids decide.
func (in *inboxes) arrived(name, id string, attempt int) (as mood, n int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	alone := checker.Receipt{Receiver: name, ID: id}
	in.asked[alone]++
	as = in.moods[name]
	if as == accepting && name != toBroker {
		switch chance := id[len(id)-2:]; {
		case chance < "06" && in.asked[alone] <= 2:
			as = failing
		case chance > "fd" && in.asked[alone] == 1:
			as = mumbling
		}
	}
	r := checker.Receipt{Receiver: name, ID: id, Attempt: attempt, At: time.Now(), Unanswered: as == mumbling}
	r.Handled = as == accepting && name == toConsumer && habitOf(id) == answers
	in.requests = append(in.requests, r)
	if as == accepting || as == mumbling {
		in.received = append(in.received, r)
		in.accepted[alone]++
	}
	return as, in.accepted[alone]
}

// all returns what was accepted, and what came at all.
func (in *inboxes) all() (received, requests []checker.Receipt) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.received, in.requests
}

// consume notes what the broker's queue gives, over one connection until the test ends.
func (in *inboxes) consume(t testing.TB) {
	t.Helper()
	conn, err := amqp.Dial(in.amqp)
	if err != nil {
		t.Fatal(err)
	}
	channel, err := conn.Channel()
	if err == nil {
		err = channel.ExchangeDeclare(toBroker, "topic", true, false, false, false, nil)
	}
	if err == nil {
		_, err = channel.QueueDeclare(toBroker, true, false, false, false, nil)
	}
	if err == nil {
		err = channel.QueueBind(toBroker, "#", toBroker, false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	deliveries, err := channel.ConsumeWithContext(context.WithoutCancel(t.Context()), toBroker, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	var consumer sync.WaitGroup
	consumer.Go(func() {
		for d := range deliveries {
			attempt, _ := d.Headers["relay-attempt"].(int32)
			in.arrived(toBroker, d.MessageId, int(attempt))
		}
	})
	t.Cleanup(func() { conn.Close(); consumer.Wait() })
}

// unbind lets the queue have nothing more until the end: what is sent is unroutable.
func (in *inboxes) unbind() (end func() error, err error) {
	do := func(change func(*amqp.Channel) error) error {
		conn, err := amqp.Dial(in.amqp)
		if err != nil {
			return err
		}
		defer conn.Close()
		channel, err := conn.Channel()
		if err != nil {
			return err
		}
		return change(channel)
	}
	return func() error {
			return do(func(c *amqp.Channel) error { return c.QueueBind(toBroker, "#", toBroker, false, nil) })
		}, do(func(c *amqp.Channel) error {
			return c.QueueUnbind(toBroker, "#", toBroker, nil)
		})
}
