package admin

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Scrapes at once, and how long one may take, before they are answered 503.
const (
	maxScrapes    = 4
	scrapeTimeout = 10 * time.Second
)

// NewRegistry returns a registry of metrics with what every relay tells of itself: the Go
// runtime, the process, and relay_build_info with the version given.
func NewRegistry(version string) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	built := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "relay_build_info",
		Help:        "Version of the relay; the value is always 1.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	built.Set(1)
	registry.MustRegister(
		built,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}

// NewHandler returns the endpoints that need no token and that every address of the relay
// serves: /metrics (Prometheus), /healthz (the process runs) and /readyz. Log takes
// metrics that could not be gathered. Health is a *Health, or its Brief where the address is
// open to more clients than the operator's.
func NewHandler(health http.Handler, metrics prometheus.Gatherer, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
	}))
	mux.Handle("GET /readyz", health)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok\n")
	})
	return mux
}
