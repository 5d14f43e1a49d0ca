package test

import (
	"net"
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"relay/test/checker"
	"relay/test/harness"
	"relay/throwaway"
)

// rabbitOutage is a system whose messages go to a broker of its own, over a proxy, while
// things go wrong with it.
type rabbitOutage struct {
	*system
	node *throwaway.Rabbit
	way  *proxy
	tr   *traffic
}

// The queue is a classic one: a quorum queue whose only node goes down within seconds of its
// making may lose what it had confirmed.
func TestRabbitMQGoesAndComesBack(t *testing.T) {
	t.Parallel()
	r := &rabbitOutage{node: harness.OwnRabbit(t)}
	r.way = newProxy(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(r.node.Port())))
	r.declare(t)
	r.system = newSystem(t, "RELAY_AMQP_URL="+r.way.through(t, r.node.URL("/")), "RELAY_DEFAULT_DESTINATION=amqp:shop/",
		"RELAY_BACKOFF=200ms", "RELAY_MAX_ATTEMPTS=1000000")
	r.tr = newTraffic(t, r.system, 2, 5*time.Millisecond)
	r.confirms(t, 50)
	for _, suffer := range []func(testing.TB){r.alarm, r.cuts, r.closes, r.deletesExchange, r.restarts} {
		harness.Eventually(t, time.Minute, "little is under way", func() bool { return r.unfinished(t) < 30 })
		begun := time.Now()
		suffer(t)
		r.tr.interrupted("broker", begun)
		r.confirms(t, 50)
	}
	r.tr.end()
	r.settled(t, time.Minute)
	again := newBroker(t, r.node.URL("/"))
	queue, err := again.channel.QueueDeclarePassive("all", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []checker.Receipt
	for _, d := range again.consume(t, "all", queue.Messages) {
		if len(d.Body) < 1000 { // the others are not in the journal
			got = append(got, checker.Receipt{Receiver: toHTTP, ID: d.MessageId})
		}
	}
	// A queue keeps no times of arrival: each duplicate may belong to any of the outages.
	r.tr.interrupted("outages", time.Time{})
	v := r.tr.judge(t, r.admin, time.Minute, func() []checker.Receipt { return got })
	if len(v.Given) > 0 {
		t.Errorf("given up: %v", v.Given)
	}
	if n := r.unfinished(t); n != 0 {
		t.Errorf("%d messages are not done", n)
	}
}

// declare makes exchange, queue and binding.
func (r *rabbitOutage) declare(t testing.TB) {
	t.Helper()
	b := newBroker(t, r.node.URL("/"))
	if err := b.channel.ExchangeDeclare("shop", "topic", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.channel.QueueDeclare("all", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.channel.QueueBind("all", "#", "shop", false, nil); err != nil {
		t.Fatal(err)
	}
}

// done is how many messages have been confirmed.
func (r *rabbitOutage) done(t testing.TB) int { return r.count(t, "status = 'done'") }

// unfinished is how many wait or are under way.
func (r *rabbitOutage) unfinished(t testing.TB) int { return r.count(t, "status <> 'done'") }

func (r *rabbitOutage) count(t testing.TB, which string) int {
	t.Helper()
	n, err := strconv.Atoi(r.text(t, "select count(*)::text from relay.outbox where "+which))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// confirms waits until the broker has confirmed the given number of further messages.
func (r *rabbitOutage) confirms(t testing.TB, more int) {
	t.Helper()
	was := r.done(t)
	harness.Eventually(t, time.Minute, "the broker confirms", func() bool { return r.done(t) >= was+more })
}

// alarmLasts is longer than heartbeats, a lease and every time-out of the relay.
const alarmLasts = 2 * time.Minute

// brokerWindow is how many publishes the relay has under way to one destination.
const brokerWindow = 200

// alarm makes the broker block connections that publish, for minutes. Messages wait, and another
// destination does not notice.
func (r *rabbitOutage) alarm(t testing.TB) {
	t.Helper()
	watermark := func(share string) {
		if _, err := r.node.Ctl(t.Context(), "set_vm_memory_high_watermark", share); err != nil {
			t.Fatal(err)
		}
	}
	watermark("0.00001")
	r.relay.says("broker: failed: blocked by the broker")
	was, elsewhere := r.done(t), 0
	for begun := time.Now(); time.Since(begun) < alarmLasts; <-time.After(time.Second) {
		id := r.send(t, "topic, destination", "'t', $1", r.receiver.URL)
		harness.Eventually(t, 5*time.Second, "another destination receives", func() bool { return r.receiver.accepted(id) == 1 })
		elsewhere++
	}
	confirmed := r.done(t) - was - elsewhere
	t.Logf("alarm: %d confirmed in %s, %d wait", confirmed, alarmLasts, r.unfinished(t))
	if confirmed > 2*brokerWindow {
		t.Errorf("%d were confirmed while the broker had blocked publishers", confirmed)
	}
	if n := r.text(t, "select count(*)::text from relay.delivery where status = 'waiting' and attempts > 0"); n != "0" {
		t.Errorf("attempts were counted for %s messages that only wait", n)
	}
	r.relay.says("broker: failed: blocked by the broker")
	watermark("0.4")
	r.relay.says("broker: ok")
}

// cuts ends connections in the midst of frames that are larger than what a read takes.
func (r *rabbitOutage) cuts(t testing.TB) {
	t.Helper()
	for range 2 {
		r.exec(t, `insert into relay.outbox (topic, payload) select 'large', '"' || repeat('x', 300000) || '"' from generate_series(1, 10)`)
		<-time.After(20 * time.Millisecond)
		r.way.cut()
	}
	r.relay.says("broker: ok")
}

// closes has the broker close the connections.
func (r *rabbitOutage) closes(t testing.TB) {
	t.Helper()
	if _, err := r.node.Ctl(t.Context(), "close_all_connections", "for a test"); err != nil {
		t.Fatal(err)
	}
	r.relay.says("broker: ok")
}

// deletesExchange lets messages be unroutable until the queue is bound again. They wait.
func (r *rabbitOutage) deletesExchange(t testing.TB) {
	t.Helper()
	if err := r.node.API(t.Context(), "DELETE", "/api/exchanges/%2f/shop", nil, nil); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 30*time.Second, "messages wait", func() bool {
		return r.text(t, "select count(*)::text from relay.delivery where status = 'push_failed'") != "0"
	})
	t.Log("exchange deleted: ", r.text(t, "select max(last_error) from relay.delivery where status = 'push_failed'"))
	r.declare(t)
}

func (r *rabbitOutage) restarts(t testing.TB) {
	t.Helper()
	if err := r.node.Stop(); err != nil {
		t.Fatal(err)
	}
	r.relay.says("broker: failed: no connection")
	if err := r.node.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.relay.says("broker: ok")
}

// A queue that is full refuses what is published. Messages wait until there is room, and
// what goes elsewhere over the same broker does not notice.
func TestAFullQueueIsWaitedFor(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	b := newBroker(t, url)
	if _, err := b.channel.QueueDeclare("small", true, false, false, false, amqp.Table{"x-max-length": 20, "x-overflow": "reject-publish"}); err != nil {
		t.Fatal(err)
	}
	b.queue(t, "elsewhere", "", "")
	s := newSystem(t, "RELAY_AMQP_URL="+url, "RELAY_DEFAULT_DESTINATION=amqp:/small", "RELAY_BACKOFF=200ms", "RELAY_MAX_ATTEMPTS=1000000")
	const n = 100
	s.exec(t, "insert into relay.outbox (topic) select 't' from generate_series(1, $1::int)", n)
	harness.Eventually(t, 30*time.Second, "the rest waits", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where status = 'open'") == strconv.Itoa(n-20)
	})
	elsewhere := s.send(t, "topic, destination", "'t', 'amqp:/elsewhere'")
	s.waitStatus(t, elsewhere, "done")
	ids := make(map[string]bool)
	for _, d := range b.consume(t, "small", n) {
		ids[d.MessageId] = true
	}
	if len(ids) != n {
		t.Errorf("%d different messages, want %d", len(ids), n)
	}
	s.settled(t, 30*time.Second)
}
