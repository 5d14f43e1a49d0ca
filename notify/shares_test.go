package notify

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"relay"
)

// One slow destination filled the memory of all with its bodies.
func TestADestinationTakesNoMoreThanItsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(1000, func(context.Context, *relay.Delivery) relay.Outcome {
			time.Sleep(5 * time.Second)
			return relay.Outcome{Class: relay.ClassHandled}
		})
		d.config.Bytes = 1000 << 10
		all := make([]outcomes, 3)
		for i := range all {
			for range 100 {
				delivery := deliveryTo(t, fmt.Sprintf("http://slow%d/", i))
				delivery.Message.Body = make([]byte, 10<<10)
				d.Dispatch(delivery, false, all[i].done)
			}
			synctest.Wait()
		}
		time.Sleep(6 * time.Second)
		// The first is alone, and has two thirds of the 750 KiB that destinations may have; each of the others has half
		// of the rest.
		for i, want := range []int{50, 12, 6} {
			if handled := all[i].count("handled "); handled != want || all[i].count("parked full") != 100-want {
				t.Errorf("destination %d: %v, want %d handled and the others parked", i, all[i].all, want)
			}
		}
		if withheld := d.Withheld(); len(withheld) != 3 || !strings.Contains(withheld[0], "http://slow0:80 has its share of bytes") {
			t.Errorf("%v", withheld)
		}
		if m, b := d.held.messages.Load(), d.held.bytes.Load(); m != 0 || b != 0 {
			t.Errorf("%d messages and %d bytes are held by nothing", m, b)
		}
		d.Stop(t.Context())
	})
}

func TestSharesLeaveSomethingForTheNext(t *testing.T) {
	t.Parallel()
	const most = 7500
	held := make([]int64, 100)
	var total int64
	for range most {
		for i := range held {
			if left(most, held[i], total) > 0 {
				held[i]++
				total++
			}
		}
	}
	if total >= most || share(most, total) < 1 {
		t.Errorf("100 destinations hold %d of %d", total, most)
	}
	for i := range held {
		if held[i] < most/200 {
			t.Errorf("destination %d holds %d", i, held[i])
		}
	}
	if alone := share(most, 0); alone != most/3*2 {
		t.Errorf("one that is alone may hold %d of %d", alone, most)
	}
}

// What waited too long gave back the bytes of its body and not those of its headers: the queue filled with nothing.
func TestALaneForgetsTheBytesOfWhatWaitedTooLong(t *testing.T) {
	t.Parallel()
	l := &lane{limit: 1}
	delivery := deliveryTo(t, "http://one/")
	delivery.Message.Body, delivery.Message.Headers = []byte("body"), []byte("headers")
	l.push(item{delivery: delivery, since: time.Now().Add(-2 * MaxWait)})
	if out := l.expired(time.Now(), func(item) *circuit { return nil }); len(out) != 1 || l.bytes != 0 {
		t.Errorf("%d items have expired, and %d bytes are left in the queue", len(out), l.bytes)
	}
}

func TestRoutesCountsSubscribers(t *testing.T) {
	t.Parallel()
	r, err := NewRouter(RouterConfig{Default: "http://default/", Technologies: testTechnologies(nil, 1)})
	if err != nil {
		t.Fatal(err)
	}
	subscriber := func(name string, topics ...string) *relay.Subscriber {
		s := deliveryTo(t, "http://"+name+"/").Subscriber
		s.Name, s.Topics = name, topics
		return s
	}
	r.Replace(1, []*relay.Subscriber{subscriber("a", "order.*"), subscriber("b", "order.paid", "#")})
	for _, tt := range []struct {
		topic string
		want  int
	}{{"order.paid", 2}, {"order.paid", 2}, {"stock", 1}, {"order.new", 2}} {
		if got := r.Routes(tt.topic); got != tt.want {
			t.Errorf("topic %s has %d subscribers, want %d", tt.topic, got, tt.want)
		}
	}
	r.Replace(2, []*relay.Subscriber{subscriber("a", "stock")})
	if got := r.Routes("order.new"); got != 1 {
		t.Errorf("a topic without subscriptions has %d subscribers, want the default destination", got)
	}
}
