package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Config is what a tracer needs. Where and how spans are exported the exporter reads from the OTEL_EXPORTER_OTLP_
// variables of the process, as OpenTelemetry specifies them.
type Config struct {
	// Service and Version name the relay in each span.
	Service, Version string
	Log              *slog.Logger
}

// Tracer makes spans. It is made by New and ended by Close.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// New returns a tracer that exports in the background. An exporter that cannot be reached costs spans and nothing else:
// they are dropped when too many wait. An error says that the variables cannot be understood.
func New(ctx context.Context, config Config) (*Tracer, error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("export spans: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(serviceName(config.Service), serviceVersion(config.Version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(&complaints{log: config.Log})
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	return &Tracer{provider: provider, tracer: provider.Tracer("relay")}, nil
}

// Close exports what waits, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("export the last spans: %w", err)
	}
	return nil
}

// complainEvery is how often failures to export are logged.
const complainEvery = time.Minute

// complaints logs failures of the exporter, and counts those between.
type complaints struct {
	log *slog.Logger

	mu     sync.Mutex
	last   time.Time
	unsaid int
}

// Handle implements otel.ErrorHandler.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.last) < complainEvery {
		c.unsaid++
		return
	}
	c.log.Warn("spans cannot be exported", "error", err, "not_logged_before", c.unsaid)
	c.last, c.unsaid = time.Now(), 0
}
