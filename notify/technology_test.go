package notify

import (
	"context"
	"errors"
	"strings"
	"testing"

	"relay"
)

// What no technology serves was once taken for AMQP.
func TestATargetOfNoTechnologyFailsLoudly(t *testing.T) {
	t.Parallel()
	web := Technology{Name: "http", Prefixes: []string{"http://", "https://"}, Concurrency: 4}
	missing := Technology{Name: "amqp", Prefixes: []string{"amqp:"}, Missing: errors.New("it needs a broker")}
	if _, err := NewRouter(RouterConfig{Default: "amqp:/orders", Technologies: Register(web)}); err == nil || !strings.Contains(err.Error(), `"amqp:"`) {
		t.Errorf("a default destination that nothing serves: %v", err)
	}
	if _, err := NewRouter(RouterConfig{Default: "amqp:/orders", Technologies: Register(web, missing)}); err == nil || !strings.Contains(err.Error(), "needs a broker") {
		t.Errorf("a default destination without a broker: %v", err)
	}
	r, err := NewRouter(RouterConfig{Technologies: Register(web)})
	if err != nil {
		t.Fatal(err)
	}
	s := deliveryTo(t, "amqp:/orders").Subscriber
	s.Name, s.Topics = "sub", []string{"#"}
	if r.Replace(1, []*relay.Subscriber{s}); !strings.Contains(s.Invalid, `"amqp:"`) {
		t.Errorf("the subscription is invalid because %q", s.Invalid)
	}
	if _, err := r.Route(&relay.Message{Topic: "t", Destination: "amqp:/orders"}); !errors.Is(err, relay.ErrRejected) {
		t.Errorf("a row that names it: %v", err)
	}
	d := newTestDispatcher(4, nil)
	d.config.Technologies = Register(web)
	if out := d.attempt(deliveryTo(t, "amqp:/orders"), &watchdog{base: t.Context()}); out.Class != relay.ClassRejected {
		t.Errorf("an attempt: %+v", out)
	}
}

// A new technology is an entry, and nothing else.
func TestATechnologyIsOneEntry(t *testing.T) {
	t.Parallel()
	delivered := 0
	all := Register(Technology{
		Name: "new", Prefixes: []string{"amqp:"}, Concurrency: 1,
		Destination: scripted(func(context.Context, *relay.Delivery) relay.Outcome {
			delivered++
			return relay.Outcome{Class: relay.ClassDelivered}
		}),
		CheckRow: func(relay.Target) error { return errors.New("no row may") },
	})
	r, err := NewRouter(RouterConfig{Default: "amqp:/orders", Technologies: all})
	if err != nil {
		t.Fatal(err)
	}
	deliveries, err := r.Route(&relay.Message{Topic: "t"})
	if err != nil || len(deliveries) != 1 {
		t.Fatalf("%d deliveries, %v", len(deliveries), err)
	}
	d := newTestDispatcher(4, nil)
	d.config.Technologies = all
	if out := d.attempt(deliveries[0], &watchdog{base: t.Context()}); out.Class != relay.ClassDelivered || delivered != 1 {
		t.Errorf("%+v", out)
	}
	if _, err := r.Route(&relay.Message{Topic: "t", Destination: "amqp:/orders"}); err == nil || !strings.Contains(err.Error(), "no row may") {
		t.Errorf("a row: %v", err)
	}
}
