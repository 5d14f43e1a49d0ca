// Package tracing exports a span for each attempt to deliver a message, by OTLP over HTTP (OpenTelemetry Protocol,
// opentelemetry.io/docs/specs/otlp). Where the message's row has a header traceparent (W3C Trace Context), the span
// belongs to that trace and links to the span that inserted the row. The header itself is sent as it stands in the row.
package tracing
