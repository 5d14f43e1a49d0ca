// Package conformance is the suite of tests that every destination passes, whatever its technology. Only tests
// import it.
package conformance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"relay"
	"relay/notify"
)

// Endpoint is one destination with a subscriber whose target it serves.
type Endpoint struct {
	Destination notify.Destination
	Subscriber  *relay.Subscriber
}

// Case is one technology under test. Every field must be set.
type Case struct {
	// Accepting takes every message.
	Accepting Endpoint
	// Received waits for the message with this id at the accepting endpoint, for at
	// most some seconds, and fails the test if it does not come.
	Received func(t *testing.T, id relay.ID) Message
	// Accepted is the class of a message that was taken.
	Accepted relay.Class
	// Failing answers every message with a failure, of class Failed.
	Failing Endpoint
	// Failed is the class of these failures.
	Failed relay.Class
	// Unreachable leads to an address where nothing listens.
	Unreachable Endpoint
	// Silent leads to a peer that takes the connection and never says a word.
	Silent Endpoint
	// Secrets must stand in no error: passwords, user names, keys, query strings.
	Secrets []string
}

// Message is a message as its receiver saw it, in words common to both
// technologies: attributes and headers are decoded, names of headers are in lower case.
type Message struct {
	ID          string
	Topic       string
	Key         string // of CloudEvents' subject; empty: none
	Source      string
	Time        time.Time // of CloudEvents' time
	ContentType string
	Attempt     int
	Headers     map[string]string // those of the row at least
	Body        []byte
}

// payloadMark stands in every payload of the suite and must stand in no error.
const payloadMark = "payload-mark-41c2"

// Test is the suite that every destination passes. newDestination starts the
// technology's server, or names one, and is called once for each part of the suite.
func Test(t *testing.T, newDestination func(t *testing.T) Case) {
	parts := map[string]func(*testing.T, Case){
		"bodies":      conformBodies,
		"attributes":  conformAttributes,
		"failing":     conformFailing,
		"unreachable": conformUnreachable,
		"cancelled":   conformCancelled,
		"silent":      conformSilent,
		"concurrent":  conformConcurrent,
	}
	for name, part := range parts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, newDestination(t))
		})
	}
}

// NewDelivery returns a first attempt at a fresh message for the subscriber.
func NewDelivery(s *relay.Subscriber, body []byte) *relay.Delivery {
	return &relay.Delivery{
		Message: &relay.Message{
			ID: relay.NewID(), Topic: "order.created", Body: body, ContentType: "application/json",
			CreatedAt: time.Now().Truncate(time.Microsecond),
		},
		Subscriber: s,
		Attempt:    1,
		Source:     "shop",
	}
}

// deliver makes one attempt and checks what holds for every outcome.
func deliver(t *testing.T, ctx context.Context, c Case, e Endpoint, d *relay.Delivery) relay.Outcome {
	t.Helper()
	out := e.Destination.Deliver(ctx, d)
	if out.Class == relay.ClassNone {
		t.Errorf("outcome without a class: %+v", out)
	}
	if out.Class.Accepted() != (out.Error == "") {
		t.Errorf("class %d with error %q; an error stands where the message was not taken, and there alone", out.Class, out.Error)
	}
	if out.Class.Attempted() && (out.Started.IsZero() || out.Duration <= 0) {
		t.Errorf("an attempt without its start or duration: %+v", out)
	}
	if len(out.Response) > relay.MaxResponse {
		t.Errorf("response of %d bytes, at most %d are kept", len(out.Response), relay.MaxResponse)
	}
	for _, secret := range append(c.Secrets, payloadMark) {
		if strings.Contains(out.Error, secret) {
			t.Errorf("error repeats %q: %s", secret, out.Error)
		}
	}
	return out
}

func conformBodies(t *testing.T, c Case) {
	every := make([]byte, 0, 512)
	for i := range 512 {
		every = append(every, byte(i))
	}
	bodies := map[string][]byte{
		"odd JSON": []byte("{ \"mark\" : \"" + payloadMark + "\",\n\t\"n\":123456789012345678901234567890.10, \"a\" :[ 1e400 ,-0 ],\"u\":\"\\u0000 \\ud83d\\ude00 😀\" , \"a\":2 }\r\n"),
		"binary":   every,
		"empty":    {},
		"nil":      nil,
		"1 MiB":    bytes.Repeat([]byte("0123456789abcde\n"), 1<<16),
	}
	for name, body := range bodies {
		d := NewDelivery(c.Accepting.Subscriber, bytes.Clone(body))
		d.Message.ContentType = "application/octet-stream"
		if out := deliver(t, t.Context(), c, c.Accepting, d); out.Class != c.Accepted {
			t.Fatalf("%s: class %d, want %d: %s", name, out.Class, c.Accepted, out.Error)
		}
		got := c.Received(t, d.Message.ID)
		if !bytes.Equal(got.Body, body) {
			t.Errorf("%s: %d bytes arrived (sha256 %x), want %d (%x)",
				name, len(got.Body), sha256.Sum256(got.Body), len(body), sha256.Sum256(body))
		}
	}
}

func conformAttributes(t *testing.T, c Case) {
	rows := map[string]struct {
		topic, key, source, contentType string
		attempt                         int
		headers                         map[string]string
	}{
		"plain":   {"order.created", "order-1", "shop", "application/json", 1, nil},
		"no key":  {"order.created", "", "shop", "text/plain; charset=utf-8", 7, map[string]string{"x-tenant": "acme", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
		"spaces":  {"order created", "key with \"quotes\" and 100%", "the shop/%20", "application/json", 2, map[string]string{"X-Mixed-Case": "a b\tc"}},
		"unicode": {"bestellung.größe.注文", "schlüssel 😀 ключ", "geschäft", "application/json", 3, map[string]string{"x-name": "größe 😀"}},
		"longest": {strings.Repeat("t", 255), strings.Repeat("ü", 512), "shop", "application/json", 20, map[string]string{"x-long": strings.Repeat("v", 2000)}},
	}
	for name, row := range rows {
		d := NewDelivery(c.Accepting.Subscriber, []byte(`{"mark":"`+payloadMark+`"}`))
		d.Message.Topic, d.Message.Key, d.Message.ContentType = row.topic, row.key, row.contentType
		d.Source, d.Attempt, d.Headers = row.source, row.attempt, row.headers
		if out := deliver(t, t.Context(), c, c.Accepting, d); out.Class != c.Accepted {
			t.Fatalf("%s: class %d, want %d: %s", name, out.Class, c.Accepted, out.Error)
		}
		got := c.Received(t, d.Message.ID)
		want := Message{
			ID: d.Message.ID.String(), Topic: row.topic, Key: row.key, Source: row.source,
			ContentType: row.contentType, Attempt: row.attempt,
		}
		compareAttributes(t, name, got, want, row.headers)
		if !got.Time.Equal(d.Message.CreatedAt) {
			t.Errorf("%s: time %v, want %v", name, got.Time, d.Message.CreatedAt)
		}
	}
}

func compareAttributes(t *testing.T, name string, got, want Message, headers map[string]string) {
	t.Helper()
	for what, pair := range map[string][2]string{
		"id": {got.ID, want.ID}, "topic": {got.Topic, want.Topic}, "key": {got.Key, want.Key},
		"source": {got.Source, want.Source}, "content type": {got.ContentType, want.ContentType},
		"attempt": {fmt.Sprint(got.Attempt), fmt.Sprint(want.Attempt)},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %s %q, want %q", name, what, pair[0], pair[1])
		}
	}
	for header, value := range headers {
		if arrived := got.Headers[strings.ToLower(header)]; arrived != value {
			t.Errorf("%s: header %s is %q, want %q", name, header, arrived, value)
		}
	}
}

func conformFailing(t *testing.T, c Case) {
	d := NewDelivery(c.Failing.Subscriber, []byte(payloadMark))
	for range 3 {
		if out := deliver(t, t.Context(), c, c.Failing, d); out.Class != c.Failed {
			t.Errorf("class %d, want %d: %s", out.Class, c.Failed, out.Error)
		}
	}
	// One that fails must not spoil the next one that does not.
	d = NewDelivery(c.Accepting.Subscriber, []byte(payloadMark))
	if out := deliver(t, t.Context(), c, c.Accepting, d); out.Class != c.Accepted {
		t.Errorf("after failures: class %d, want %d: %s", out.Class, c.Accepted, out.Error)
	}
}

func conformUnreachable(t *testing.T, c Case) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out := deliver(t, ctx, c, c.Unreachable, NewDelivery(c.Unreachable.Subscriber, []byte(payloadMark)))
	// It cannot have arrived: either the attempt failed or none was made.
	if out.Class != relay.ClassPushFailed && out.Class != relay.ClassParked {
		t.Errorf("class %d, want push failed or parked: %s", out.Class, out.Error)
	}
}

func conformCancelled(t *testing.T, c Case) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	out := deliver(t, ctx, c, c.Accepting, NewDelivery(c.Accepting.Subscriber, []byte(payloadMark)))
	checkEnded(t, out, time.Since(began))
}

func conformSilent(t *testing.T, c Case) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := time.AfterFunc(100*time.Millisecond, cancel)
	defer stop.Stop()
	began := time.Now()
	out := deliver(t, ctx, c, c.Silent, NewDelivery(c.Silent.Subscriber, []byte(payloadMark)))
	checkEnded(t, out, time.Since(began))
}

// checkEnded checks an outcome whose context ended: nothing was accepted, the classes
// are those that the Destination promises, and it returned without delay.
func checkEnded(t *testing.T, out relay.Outcome, took time.Duration) {
	t.Helper()
	switch out.Class {
	case relay.ClassUnknown, relay.ClassPushFailed, relay.ClassParked:
	default:
		t.Errorf("class %d, want unknown, push failed or parked: %s", out.Class, out.Error)
	}
	if took > 3*time.Second {
		t.Errorf("returned %v after its start, long after its context had ended", took)
	}
}

func conformConcurrent(t *testing.T, c Case) {
	const workers, each = 16, 8
	var mu sync.Mutex
	sent := make(map[relay.ID][]byte)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				d := NewDelivery(c.Accepting.Subscriber, fmt.Appendf(nil, "worker %d message %d %s", w, i, payloadMark))
				d.Headers = map[string]string{"x-worker": fmt.Sprint(w)}
				mu.Lock()
				sent[d.Message.ID] = bytes.Clone(d.Message.Body)
				mu.Unlock()
				if out := deliver(t, t.Context(), c, c.Accepting, d); out.Class != c.Accepted {
					t.Errorf("class %d, want %d: %s", out.Class, c.Accepted, out.Error)
				}
				// What was handed over is no longer the destination's to look at.
				clear(d.Message.Body)
				clear(d.Headers)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for id := range maps.Keys(sent) {
		if got := c.Received(t, id); !bytes.Equal(got.Body, sent[id]) {
			t.Errorf("%v: %q arrived, want %q", id, got.Body, sent[id])
		}
	}
}
