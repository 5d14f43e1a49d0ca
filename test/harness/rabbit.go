package harness

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relay/throwaway"
)

// node is the RabbitMQ node that the tests of this process share.
var node struct {
	once   sync.Once
	rabbit *throwaway.Rabbit
	err    error
}

// vhosts numbers the virtual hosts of this process.
var vhosts atomic.Int64

// Rabbit returns the RabbitMQ node that the tests of this process share, started on first
// use. Tests leave it running and unblocked; OwnRabbit is for the others.
func Rabbit(t testing.TB) *throwaway.Rabbit {
	t.Helper()
	node.once.Do(func() {
		// The node outlives the test that first asks for it.
		node.rabbit, node.err = startRabbit(context.Background())
		if node.err == nil {
			atExit(node.rabbit.Remove)
		}
	})
	if node.err != nil {
		t.Fatalf("harness: %v", node.err)
	}
	return node.rabbit
}

// OwnRabbit starts a node of the test's own, for tests that stop, kill or block it, and
// removes it at the end. The plugins are enabled on it.
func OwnRabbit(t testing.TB, plugins ...string) *throwaway.Rabbit {
	t.Helper()
	r, err := startRabbit(t.Context(), plugins...)
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	t.Cleanup(func() {
		if err := r.Remove(); err != nil {
			t.Errorf("harness: %v", err)
		}
	})
	return r
}

func startRabbit(ctx context.Context, plugins ...string) (*throwaway.Rabbit, error) {
	return throwaway.StartRabbit(ctx, throwaway.RabbitConfig{Name: "relay-test-rabbitmq", Plugins: plugins})
}

// AMQPURL makes a virtual host on the shared node and returns its address. It is deleted
// at the end of the test, and its connections are closed.
func AMQPURL(t testing.TB) string {
	t.Helper()
	r := Rabbit(t)
	name := "test-" + strconv.FormatInt(vhosts.Add(1), 10)
	if err := r.NewVhost(t.Context(), name); err != nil {
		t.Fatalf("harness: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := r.DropVhost(ctx, name); err != nil {
			t.Errorf("harness: %v", err)
		}
	})
	return r.URL(name)
}

// SuspendQueue lets a queue of the default virtual host do nothing, as one does that has lost
// its majority or its disk: it takes and confirms no message until resume is called.
func SuspendQueue(t testing.TB, r *throwaway.Rabbit, queue string) (resume func()) {
	t.Helper()
	eval := func(expression string) {
		t.Helper()
		if _, err := r.Ctl(t.Context(), "eval", expression); err != nil {
			t.Fatalf("harness: %v", err)
		}
	}
	// A process is suspended for as long as the one that suspended it lives.
	holder := "'hold " + queue + "'"
	eval(`
		{ok, Queue} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"` + queue + `">>)),
		Process = case amqqueue:get_pid(Queue) of {Name, _} -> whereis(Name); Pid -> Pid end,
		Self = self(),
		register(` + holder + `, spawn(fun() -> erlang:suspend_process(Process), Self ! suspended, receive resume -> ok end end)),
		receive suspended -> ok end.`)
	return func() { eval(holder + " ! resume.") }
}
