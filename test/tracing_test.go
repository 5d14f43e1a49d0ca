package test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"relay/test/harness"
)

// spans is OpenTelemetry's trace service: it keeps what is exported to it.
type spans struct {
	collector.UnimplementedTraceServiceServer
	mu  sync.Mutex
	all []*trace.Span
}

// Export implements the service.
func (s *spans) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			s.all = append(s.all, scope.Spans...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// of returns the spans of a message's attempts, in their order.
func (s *spans) of(id string) (found []*trace.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.all {
		if attribute(span, "messaging.message.id").GetStringValue() == id {
			found = append(found, span)
		}
	}
	slices.SortFunc(found, func(a, b *trace.Span) int { return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano) })
	return found
}

func attribute(span *trace.Span, key string) *common.AnyValue {
	for _, a := range span.Attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return nil
}

// receiveSpans serves the trace service over HTTP, as OpenTelemetry's own gateway has it, and returns its address.
func receiveSpans(t *testing.T) (*spans, string) {
	t.Helper()
	service := new(spans)
	mux := runtime.NewServeMux(runtime.WithMarshalerOption("application/x-protobuf", &runtime.ProtoMarshaller{}))
	if err := collector.RegisterTraceServiceHandlerServer(t.Context(), mux, service); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return service, server.URL
}

// TestEachAttemptIsASpanOfTheRowsTrace: a message that fails once and is handled then makes two spans in the trace of
// the transaction that inserted it, and its header arrives as it was.
func TestEachAttemptIsASpanOfTheRowsTrace(t *testing.T) {
	t.Parallel()
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	received, endpoint := receiveSpans(t)
	failing, mended := switched(t)
	s := newSystem(t, "RELAY_BACKOFF=200ms", "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "OTEL_BSP_SCHEDULE_DELAY=100",
		"RELAY_DEFAULT_DESTINATION="+failing.URL)
	traced := s.send(t, "topic, headers", `'t', '{"traceparent": "`+parent+`", "tracestate": "vendor=1"}'`)
	harness.Eventually(t, 20*time.Second, "an attempt has failed", func() bool { return len(failing.requests(traced)) > 0 })
	mended.Store(true)
	s.waitStatus(t, traced, "done")
	plain := s.send(t, "topic", "'t'")
	s.waitStatus(t, plain, "done")
	var of []*trace.Span
	harness.Eventually(t, 20*time.Second, "the spans are exported", func() bool {
		of = received.of(traced)
		return len(of) == len(failing.requests(traced)) && len(received.of(plain)) == 1
	})
	for i, span := range of {
		failed := i < len(of)-1
		if got := string(span.TraceId); got != "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36" || len(span.Links) != 1 ||
			string(span.Links[0].SpanId) != "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7" || string(span.ParentSpanId) != string(span.Links[0].SpanId) {
			t.Errorf("attempt %d: trace %x, parent %x, links %v", i+1, span.TraceId, span.ParentSpanId, span.Links)
		}
		if n := attribute(span, "relay.attempt").GetIntValue(); n != int64(i+1) || (span.Status.GetCode() == trace.Status_STATUS_CODE_ERROR) != failed {
			t.Errorf("span %d is of attempt %d with status %v", i+1, n, span.Status)
		}
		if span.EndTimeUnixNano < span.StartTimeUnixNano {
			t.Errorf("span %d ends before it begins", i+1)
		}
	}
	if span := received.of(plain)[0]; len(span.Links) != 0 || len(span.ParentSpanId) != 0 {
		t.Errorf("a row without a trace: parent %x, links %v", span.ParentSpanId, span.Links)
	}
	for _, request := range failing.requests(traced) {
		if got := request.header.Get("traceparent"); got != parent || request.header.Get("tracestate") != "vendor=1" {
			t.Errorf("traceparent arrived as %q, tracestate as %q", got, request.header.Get("tracestate"))
		}
	}
}

// TestSpansAreExportedOnlyIfAnEndpointIsSet: without the variable nothing is said of spans, and with a protocol that is
// not supported the relay does not start.
func TestSpansAreExportedOnlyIfAnEndpointIsSet(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.waitStatus(t, s.send(t, "topic", "'t'"), "done")
	if strings.Contains(s.relay.log.String(), "span") {
		t.Errorf("spans without an endpoint:\n%s", s.relay.log)
	}
	code, _, errs := run(t, "", []string{"run"}, "RELAY_DATABASE_URL="+s.db.URL, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1",
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
	if code == 0 || !strings.Contains(errs, `OTEL_EXPORTER_OTLP_PROTOCOL: bad value "grpc"`) {
		t.Errorf("code %d, %q", code, errs)
	}
}
