package tracing

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"relay"
)

// Attributes that are not of OpenTelemetry's semantic conventions begin with relay.
const (
	keySubscription = attribute.Key("relay.subscription")
	keyInstance     = attribute.Key("relay.instance")
	keyAttempt      = attribute.Key("relay.attempt")
	keyOutcome      = attribute.Key("relay.outcome")
)

func serviceName(name string) attribute.KeyValue { return attribute.String("service.name", name) }
func serviceVersion(v string) attribute.KeyValue { return attribute.String("service.version", v) }
func messageID(id relay.ID) attribute.KeyValue {
	return attribute.String("messaging.message.id", id.String())
}
func topic(name string) attribute.KeyValue {
	return attribute.String("messaging.destination.name", name)
}
func system(technology string) attribute.KeyValue {
	return attribute.String("messaging.system", technology)
}

// Attempt makes the span of an attempt that has ended. What was not attempted has none.
func (t *Tracer) Attempt(d *relay.Delivery, o relay.Outcome) {
	if !o.Class.Attempted() && o.Class != relay.ClassUnknown {
		return
	}
	ctx, options := parent(d.Headers)
	kind := trace.SpanKindClient
	if d.Subscriber.Target.Kind != relay.TargetHTTP {
		kind = trace.SpanKindProducer
	}
	options = append(options, trace.WithTimestamp(o.Started), trace.WithSpanKind(kind), trace.WithAttributes(attributes(d, o)...))
	_, span := t.tracer.Start(ctx, "deliver "+d.Message.Topic, options...)
	if !o.Class.Accepted() {
		span.SetStatus(codes.Error, o.Error)
	}
	span.End(trace.WithTimestamp(o.Started.Add(o.Duration)))
}

// parent returns the context of the span that inserted the row, and a link to it, if the row's headers name one.
func parent(headers map[string]string) (context.Context, []trace.SpanStartOption) {
	carrier := propagation.MapCarrier{}
	for name, value := range headers {
		switch strings.ToLower(name) {
		case "traceparent", "tracestate":
			carrier[strings.ToLower(name)] = value
		}
	}
	if len(carrier) == 0 {
		return context.Background(), nil
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), carrier)
	from := trace.SpanContextFromContext(ctx)
	if !from.IsValid() {
		return ctx, nil
	}
	return ctx, []trace.SpanStartOption{trace.WithLinks(trace.Link{SpanContext: from})}
}

// attributes tell of an attempt without any secret: no payload, no header, and of the target no more than people may
// see.
func attributes(d *relay.Delivery, o relay.Outcome) []attribute.KeyValue {
	technology := "http"
	if d.Subscriber.Target.Kind != relay.TargetHTTP {
		technology = "rabbitmq"
	}
	list := []attribute.KeyValue{
		system(technology), messageID(d.Message.ID), topic(d.Message.Topic),
		keySubscription.String(d.Subscriber.Name), keyInstance.String(relay.ShownTarget(d.Instance)), keyAttempt.Int(d.Attempt), keyOutcome.String(o.Class.String()),
		attribute.String("url.full", d.Subscriber.Target.Redacted()),
	}
	switch {
	case o.Code == 0:
	case technology == "http":
		list = append(list, attribute.Int("http.response.status_code", o.Code), attribute.String("http.request.method", http.MethodPost))
	default:
		list = append(list, attribute.Int("amqp.reply_code", o.Code))
	}
	return list
}
