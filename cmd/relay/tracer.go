package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"relay/notify"
	"relay/tracing"
)

// The variables of OpenTelemetry that decide whether spans are exported, and how.
const (
	otlpEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	otlpProtocol = "OTEL_EXPORTER_OTLP_PROTOCOL"
	otlpByHTTP   = "http/protobuf"
)

// exportGrace bounds the export of the last spans.
const exportGrace = 5 * time.Second

// newTracer returns what makes spans. Nil means that OTEL_EXPORTER_OTLP_ENDPOINT is not set.
func newTracer(ctx context.Context, env map[string]string, log *slog.Logger) (*tracing.Tracer, error) {
	if env[otlpEndpoint] == "" {
		return nil, nil
	}
	if protocol := env[otlpProtocol]; protocol != "" && protocol != otlpByHTTP {
		return nil, fmt.Errorf("%s: bad value %s; allowed: %s, with the endpoint of that protocol, usually port 4318", otlpProtocol, quote(protocol), otlpByHTTP)
	}
	tracer, err := tracing.New(ctx, tracing.Config{Service: "relay", Version: version(), Log: log})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", otlpEndpoint, err)
	}
	log.Info("a span of each attempt is exported")
	return tracer, nil
}

// spans is what the dispatcher tells of attempts. Nil means that nothing is traced.
func (s *service) spans() notify.Tracer {
	if s.tracer == nil {
		return nil
	}
	return s.tracer
}

// exportLast exports the spans of the last attempts.
func (s *service) exportLast(ctx context.Context) {
	if s.tracer == nil {
		return
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), exportGrace)
	defer cancel()
	if err := s.tracer.Close(limited); err != nil {
		s.log.Warn("the last spans are lost", "error", err)
	}
}
