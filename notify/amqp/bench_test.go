package amqp_test

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"relay"
	"relay/notify/amqp"
	"relay/notify/conformance"
	"relay/test/harness"
)

const (
	benchMessages = 5_000
	benchWindow   = 200
	benchRounds   = 25
)

// BenchmarkAMQPPipeline compares 200 goroutines in Deliver with the library alone,
// pipelined by one goroutine, in turns on one broker: 1 KB persistent mandatory messages
// with the same properties to a quorum queue. The ratio is the median of many short
// rounds, because the broker's own pace varies. Run it with -benchtime=1x.
func BenchmarkAMQPPipeline(b *testing.B) {
	url := harness.AMQPURL(b)
	ch := brokerChannel(b, url)
	must(b, ch.Confirm(false))
	_, err := ch.QueueDeclare("bench", true, false, false, false, amqp091.Table{"x-queue-type": "quorum"})
	must(b, err)
	a := startAMQP(b, amqp.Config{URL: url, Window: benchWindow})
	s := subscriberOf(b, "amqp:/bench")
	body := bytes.Repeat([]byte("x"), 1024)
	// One of each to warm up; its message also tells the properties.
	benchDeliver(b, a, s, body)
	like := take(b, ch, "bench")
	benchBare(b, ch, like)
	var bare, delivered, ratio []float64
	for b.Loop() {
		bare, delivered, ratio = nil, nil, nil
		for range benchRounds {
			alone, through := benchBare(b, ch, like), benchDeliver(b, a, s, body)
			bare, delivered = append(bare, alone), append(delivered, through)
			ratio = append(ratio, through/alone)
		}
	}
	b.ReportMetric(median(bare), "bare/s")
	b.ReportMetric(median(delivered), "delivered/s")
	b.ReportMetric(median(ratio), "ratio")
	b.ReportMetric(0, "ns/op")
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// benchDeliver returns the rate of messages through Deliver, per second.
func benchDeliver(b *testing.B, a *amqp.Destination, s *relay.Subscriber, body []byte) float64 {
	began := time.Now()
	var wg sync.WaitGroup
	for range benchWindow {
		wg.Go(func() {
			for range benchMessages / benchWindow {
				d := conformance.NewDelivery(s, body)
				d.Message.Key = "order-1"
				if out := a.Deliver(b.Context(), d); out.Class != relay.ClassDelivered {
					b.Errorf("class %d: %s", out.Class, out.Error)
				}
			}
		})
	}
	wg.Wait()
	return benchMessages / time.Since(began).Seconds()
}

// benchBare returns the rate of the library alone, benchWindow messages ahead of their confirms.
func benchBare(b *testing.B, ch *amqp091.Channel, like amqp091.Delivery) float64 {
	began := time.Now()
	confirms := make(chan *amqp091.DeferredConfirmation, benchWindow)
	var wg sync.WaitGroup
	wg.Go(func() {
		for confirm := range confirms {
			if !confirm.Wait() {
				b.Error("not confirmed")
			}
		}
	})
	for range benchMessages {
		confirm, err := ch.PublishWithDeferredConfirm("", "bench", true, false, amqp091.Publishing{
			Headers: like.Headers, ContentType: like.ContentType, DeliveryMode: amqp091.Persistent,
			MessageId: relay.NewID().String(), Timestamp: like.Timestamp, Type: like.Type, AppId: like.AppId, Body: like.Body,
		})
		must(b, err)
		confirms <- confirm
	}
	close(confirms)
	wg.Wait()
	return benchMessages / time.Since(began).Seconds()
}
