package amqp

import (
	"errors"
	"strconv"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay/test/harness"
)

// endedCall is a call that has brought err.
func endedCall(err error) *call[struct{}] {
	call := &call[struct{}]{done: make(chan struct{}), err: err}
	close(call.done)
	return call
}

// What rows name without end must not be remembered without end.
func TestNamesThatRowsGiveAreForgotten(t *testing.T) {
	t.Parallel()
	now := time.Now()
	k := newRowChecks(nil)
	fill := func(n int, age time.Duration, err error) {
		for i := range n {
			k.known[entity{name: strconv.Itoa(len(k.known)) + "-" + strconv.Itoa(i)}] = &rowCheck{call: endedCall(err), at: now.Add(-age)}
		}
	}
	fill(maxRowChecks-1, 0, nil)
	if k.makeRoom(now); len(k.known) != maxRowChecks-1 {
		t.Errorf("%d names are known although there was room for one", len(k.known))
	}
	fill(1, 0, nil)
	if k.makeRoom(now); len(k.known) != maxRowChecks-1 {
		t.Errorf("%d names are known, want room for one", len(k.known))
	}
	clear(k.known)
	now = now.Add(time.Minute)
	fill(1000, rowMissingLife-time.Second, errors.New("missing"))
	fill(1000, rowPresentLife-time.Second, nil)
	fill(4000, rowMissingLife+time.Second, errors.New("missing"))
	fill(maxRowChecks-6000, rowPresentLife+time.Second, nil)
	if k.makeRoom(now); len(k.known) != 2000 {
		t.Errorf("%d names are known, want the 2000 that are believed", len(k.known))
	}
}

// A queue can be deleted, and an exclusive one declared in its place.
func TestANameThatARowUsesIsAskedAboutAgain(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, err := New(Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.connect(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	other, err := amqp091.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ch, err := other.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"renewed": rowRenewAfter + time.Second, "expired": rowPresentLife + time.Second} {
		if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		entity := entity{queue: true, name: name}
		if err := c.rows.ensure(t.Context(), entity); err != nil {
			t.Fatal(err)
		}
		if _, err := ch.QueueDelete(name, false, false, false); err != nil {
			t.Fatal(err)
		}
		if _, err := ch.QueueDeclare(name, false, false, true, false, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.rows.ensure(t.Context(), entity); err != nil {
			t.Errorf("%s: asked again at once: %v", name, err)
		}
		c.rows.mu.Lock()
		c.rows.known[entity].at = time.Now().Add(-age)
		c.rows.mu.Unlock()
		first := c.rows.ensure(t.Context(), entity)
		if waited := replyCode(first) == amqp091.ResourceLocked; waited != (name == "expired") {
			t.Errorf("%s: the first answer is %v", name, first)
		}
		harness.Eventually(t, 10*time.Second, "the queue is found exclusive", func() bool {
			return replyCode(c.rows.ensure(t.Context(), entity)) == amqp091.ResourceLocked
		})
	}
}
