package tracing

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"relay"
)

// BenchmarkAttempt is what a span costs an attempt where spans are exported.
func BenchmarkAttempt(b *testing.B) {
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.URL)
	tracer, err := New(b.Context(), Config{Service: "relay", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	target, err := relay.ParseTarget("https://shop.example/hook")
	if err != nil {
		b.Fatal(err)
	}
	d := &relay.Delivery{
		Message: &relay.Message{ID: relay.NewID(), Topic: "order.created"}, Subscriber: &relay.Subscriber{Name: "billing", Target: target}, Attempt: 1,
		Headers: map[string]string{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
	}
	o := relay.Outcome{Class: relay.ClassHandled, Code: 200, Started: time.Now(), Duration: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		tracer.Attempt(d, o)
	}
}

func TestParentIsTheRowsTrace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		headers map[string]string
		linked  bool
	}{
		"none":      {nil, false},
		"good":      {map[string]string{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, true},
		"uppercase": {map[string]string{"Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}, true},
		"malformed": {map[string]string{"traceparent": "00-zz-00f067aa0ba902b7-01"}, false},
	} {
		if _, options := parent(c.headers); (len(options) > 0) != c.linked {
			t.Errorf("%s: %d options", name, len(options))
		}
	}
}
