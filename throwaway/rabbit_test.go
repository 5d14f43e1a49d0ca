package throwaway_test

import (
	"context"
	"os"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"relay/throwaway"
)

func TestRabbitConfirmsAndKeepsOverStopAndKill(t *testing.T) {
	t.Parallel()
	r := startRabbit(t)
	check(t, r.NewVhost(t.Context(), "a/b"))
	publish(t, r, "a/b")
	for name, end := range map[string]func() error{"stop": r.Stop, "kill": r.Kill} {
		check(t, end())
		if _, err := amqp.Dial(r.URL("a/b")); err == nil {
			t.Fatalf("the node takes connections after %s", name)
		}
		check(t, r.Start(t.Context()))
		publish(t, r, "a/b")
	}
	var queue struct{ Durable bool }
	check(t, r.API(t.Context(), "GET", "/api/queues/a%2Fb/kept", nil, &queue))
	if !queue.Durable {
		t.Error("the queue is not durable")
	}
	if n := depth(t, r, "a/b", 3); n != 3 {
		t.Errorf("%d messages in the queue, want 3", n)
	}
	out, err := r.Ctl(t.Context(), "list_vhosts")
	check(t, err)
	t.Log(out)
	check(t, r.DropVhost(t.Context(), "a/b"))
}

// startRabbit starts a node of the test's own, removes it at the end and looks for what it
// left behind.
func startRabbit(t *testing.T) *throwaway.Rabbit {
	t.Helper()
	r, err := throwaway.StartRabbit(t.Context(), throwaway.RabbitConfig{})
	check(t, err)
	t.Cleanup(func() {
		check(t, r.Remove())
		if _, err := os.Stat(r.Dir()); !os.IsNotExist(err) {
			t.Errorf("folder %s is left behind: %v", r.Dir(), err)
		}
		eventually(t, 10*time.Second, "no process of the node is left", func() bool {
			return len(processesOf(t, r.Dir())) == 0
		})
	})
	return r
}

// publish declares a durable queue and sends one message to it, confirmed. The queue is a
// classic one: a quorum queue whose only node is killed within seconds of its making may not
// come back.
func publish(t *testing.T, r *throwaway.Rabbit, vhost string) {
	t.Helper()
	ch := channel(t, r, vhost)
	_, err := ch.QueueDeclare("kept", true, false, false, false, nil)
	check(t, err)
	check(t, ch.Confirm(false))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	confirmation, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", "kept", true, false,
		amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("hello")})
	check(t, err)
	if ok, err := confirmation.WaitContext(ctx); !ok || err != nil {
		t.Fatalf("confirmed %v, error %v", ok, err)
	}
}

// depth counts what is ready in the queue, and waits for least: what was recovered is counted little by little.
func depth(t *testing.T, r *throwaway.Rabbit, vhost string, least int) (n int) {
	t.Helper()
	ch := channel(t, r, vhost)
	eventually(t, 30*time.Second, "the queue counts its messages", func() bool {
		q, err := ch.QueueDeclarePassive("kept", true, false, false, false, nil)
		check(t, err)
		n = q.Messages
		return n >= least
	})
	return n
}

func channel(t *testing.T, r *throwaway.Rabbit, vhost string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(r.URL(vhost))
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	check(t, err)
	return ch
}
