package amqp_test

import (
	neturl "net/url"
	"sync"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
	"relay/notify/amqp"
	"relay/notify/conformance"
	"relay/test/harness"
)

func TestAMQPUsesWhatExists(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	must(t, ch.ExchangeDeclare("fan", "fanout", false, true, false, false, nil))
	_, err := ch.QueueDeclare("classic", false, false, false, false, amqp091.Table{"x-max-length": 5})
	must(t, err)
	must(t, ch.QueueBind("classic", "", "fan", false, nil))
	for _, target := range []string{"amqp:fan/any", "amqp:/classic"} {
		wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(subscriberOf(t, target), []byte("{}"))), relay.ClassDelivered, "")
	}
	if n := depth(t, ch, "classic"); n != 2 {
		t.Errorf("%d messages in the queue, want 2", n)
	}
}

func TestAMQPUsesAnExclusiveQueueOfAnother(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	_, err := ch.QueueDeclare("mine", false, true, true, false, nil)
	must(t, err)
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(subscriberOf(t, "amqp:/mine"), []byte("{}"))), relay.ClassDelivered, "")
}

func TestAMQPDeclaresAMissingExchange(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	s := subscriberOf(t, "amqp:fresh/{topic}")
	out := a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}")))
	wantClass(t, out, relay.ClassPushFailed, "unroutable")
	if out.Code != amqp091.NoRoute {
		t.Errorf("code %d, want 312", out.Code)
	}
	// Declaring it again with the same arguments is the way to see what it is.
	must(t, ch.ExchangeDeclare("fresh", "topic", true, false, false, false, nil))
	boundQueue(t, ch, "fresh", "behind")
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassDelivered, "")
}

func TestAMQPDeclaresAMissingQueueAsDurableQuorum(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	a, ch := startAMQP(t, amqp.Config{URL: url}), brokerChannel(t, url)
	s := subscriberOf(t, "amqp:/fresh")
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassDelivered, "")
	_, err := ch.QueueDeclare("fresh", true, false, false, false, amqp091.Table{"x-queue-type": "quorum"})
	must(t, err)
	// Deleted behind the relay's back: one failure, then it is declared again.
	_, err = ch.QueueDelete("fresh", false, false, false)
	must(t, err)
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassPushFailed, "unroutable")
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(s, []byte("{}"))), relay.ClassDelivered, "")
}

func TestAMQPSaysWhatIsMissingWithoutPermission(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	ch := brokerChannel(t, url)
	boundQueue(t, ch, "allowed", "behind")
	a := startAMQP(t, amqp.Config{URL: restrictedUser(t, url, "none", "allowed|amq.default|absent", "none")})
	for _, target := range []string{"amqp:absent/x", "amqp:/absent"} {
		out := a.Deliver(t.Context(), conformance.NewDelivery(subscriberOf(t, target), []byte("{}")))
		wantClass(t, out, relay.ClassPushFailed, "declare it yourself, or grant the user configure on it")
		if out.Code != amqp091.AccessRefused {
			t.Errorf("%s: code %d, want 403", target, out.Code)
		}
	}
	wantClass(t, a.Deliver(t.Context(), conformance.NewDelivery(subscriberOf(t, "amqp:allowed/x"), []byte("{}"))), relay.ClassDelivered, "")
}

// A user who may not write to an exchange has the channel closed with each message.
func TestAMQPBlamesOnlyWhoMayNotWrite(t *testing.T) {
	t.Parallel()
	url := harness.AMQPURL(t)
	ch := brokerChannel(t, url)
	boundQueue(t, ch, "allowed", "behind")
	must(t, ch.ExchangeDeclare("forbidden", "topic", true, false, false, false, nil))
	a := startAMQP(t, amqp.Config{URL: restrictedUser(t, url, "none", "allowed", "none")})
	good, bad := subscriberOf(t, "amqp:allowed/x"), subscriberOf(t, "amqp:forbidden/x")
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if i%10 == 0 {
				out := deliver(t, a, conformance.NewDelivery(bad, []byte("{}")))
				wantClass(t, out, relay.ClassPushFailed, "ACCESS_REFUSED")
				if out.Code != amqp091.AccessRefused {
					t.Errorf("code %d, want 403", out.Code)
				}
				return
			}
			wantClass(t, deliver(t, a, conformance.NewDelivery(good, []byte("{}"))), relay.ClassDelivered, "")
		})
	}
	wg.Wait()
	if n := depth(t, ch, "behind"); n < 180 {
		t.Errorf("%d messages behind the allowed exchange, want at least 180", n)
	}
}

// restrictedUser makes a user with these permissions and returns the URL with its name.
func restrictedUser(t *testing.T, url, configure, write, read string) string {
	t.Helper()
	parsed, err := neturl.Parse(url)
	must(t, err)
	vhost := parsed.Path[1:]
	name := "user-of-" + vhost
	rabbit := harness.Rabbit(t)
	user := map[string]string{"password": "hidden-word", "tags": ""}
	must(t, rabbit.API(t.Context(), "PUT", "/api/users/"+name, user, nil))
	permissions := map[string]string{"configure": configure, "write": write, "read": read}
	must(t, rabbit.API(t.Context(), "PUT", "/api/permissions/"+neturl.PathEscape(vhost)+"/"+name, permissions, nil))
	parsed.User = neturl.UserPassword(name, "hidden-word")
	return parsed.String()
}
