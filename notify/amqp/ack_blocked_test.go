package amqp_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
	"relay/notify/amqp"
	"relay/notify/conformance"
	"relay/test/harness"
)

// takenReplies counts the different replies that were taken.
type takenReplies struct {
	mu     sync.Mutex
	tokens map[string]bool
}

// Acknowledge implements what amqp.Replies asks for.
func (r *takenReplies) Acknowledge(_ context.Context, token string, _ []byte) (relay.AckResult, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens[token] = true
	return relay.AckHandled, nil
}

func (r *takenReplies) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.tokens)
}

// The broker reads nothing from a connection that has published while it has an alarm: the
// acks of replies stayed unread, and what was in the queue beyond 64 waited.
func TestAMQPRepliesAreTakenWhilePublishersAreBlocked(t *testing.T) {
	t.Parallel()
	rabbit := harness.OwnRabbit(t)
	url := rabbit.URL("/")
	queue := amqp.ReplyQueue("shop")
	ch := brokerChannel(t, url)
	_, err := ch.QueueDeclare(queue, true, false, false, false, amqp091.Table{"x-queue-type": "quorum"})
	must(t, err)
	const replies = 300
	for i := range replies {
		must(t, ch.PublishWithContext(t.Context(), "", queue, false, false, amqp091.Publishing{CorrelationId: strconv.Itoa(i)}))
	}
	harness.Eventually(t, 20*time.Second, "the replies are in the queue", func() bool { return depth(t, ch, queue) == replies })
	taken := &takenReplies{tokens: make(map[string]bool)}
	var wanted atomic.Bool
	a := startAMQP(t, amqp.Config{URL: url, Replies: amqp.Replies{Queue: queue, Wanted: wanted.Load, Taker: taken}})
	s := subscriberOf(t, "amqp:/orders")
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, nil)), relay.ClassDelivered, "") // declares the queue
	s.Timeout = time.Second
	watermark := func(share string) {
		t.Helper()
		_, err := rabbit.Ctl(t.Context(), "set_vm_memory_high_watermark", share)
		must(t, err)
	}
	watermark("0.0000001")
	harness.Eventually(t, 20*time.Second, "publishers are blocked", func() bool {
		a.Deliver(t.Context(), conformance.NewDelivery(s, nil))
		up, _ := a.State()
		return !up
	})
	wanted.Store(true)
	harness.Eventually(t, 20*time.Second, "all replies are taken", func() bool { return taken.count() == replies })
	harness.Eventually(t, 30*time.Second, "the broker has their acks", func() bool {
		list, err := rabbit.Ctl(t.Context(), "list_queues", "--quiet", "name", "messages")
		must(t, err)
		return strings.Contains(list, queue+"\t0\n")
	})
	if up, _ := a.State(); up {
		t.Error("publishers were not blocked all the time")
	}
	watermark("0.9")
	eventuallyUp(t, a)
}
