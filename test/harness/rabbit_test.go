package harness

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestAMQPURLIsTheTestsOwn(t *testing.T) {
	t.Parallel()
	first, second := AMQPURL(t), AMQPURL(t)
	if first == second {
		t.Fatal("two tests share a virtual host")
	}
	declare(t, first, false)
	if err := declare(t, second, true); err == nil {
		t.Error("the queue of one virtual host is seen in another")
	}
}

func TestDroppedVhostIsGone(t *testing.T) {
	t.Parallel()
	var address string
	t.Run("user", func(t *testing.T) {
		address = AMQPURL(t)
		declare(t, address, false)
	})
	if conn, err := amqp.Dial(address); err == nil {
		conn.Close()
		t.Error("the virtual host takes connections after its test")
	}
}

func TestOwnRabbitMayBeKilled(t *testing.T) {
	t.Parallel()
	r := OwnRabbit(t)
	declare(t, r.URL(""), false)
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Whether a queue declared a moment before the kill has survived it is the broker's affair.
	if err := declare(t, r.URL(""), false); err != nil {
		t.Errorf("the node does not serve after kill and start: %v", err)
	}
	declare(t, AMQPURL(t), false)
}

// declare declares the queue q. Its error is that of the declaration alone.
func declare(t *testing.T, address string, passive bool) error {
	t.Helper()
	conn, err := amqp.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	f := ch.QueueDeclare
	if passive {
		f = ch.QueueDeclarePassive
	}
	_, err = f("q", true, false, false, false, nil)
	return err
}
