package cdc

import (
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"relay"
)

const (
	// noticeBytes is how many bytes of payloads are read per second, a second's worth at once:
	// 110,000 ids. Above it payloads are dropped unread, and a sweep finds what they told.
	noticeBytes = 4 << 20
	// unheardFor is how long the payloads of a sender are dropped unread after the sink has
	// refused its ids, and unheardMost how many such senders are remembered.
	unheardFor  = 100 * time.Millisecond
	unheardMost = 1000
	// warnEvery is the least time between two warnings that notifications were ignored.
	warnEvery = time.Minute
)

// notices takes what arrives by NOTIFY. Every role that can connect to the database can send
// it, hence a notification is a hint and no more: it is taken at a limited rate, nothing of it
// is kept here, and a payload that this relay did not write is counted and ignored. One
// goroutine uses it at a time.
type notices struct {
	sink    sink
	log     *slog.Logger
	metrics *noticeMetrics
	budget  *rate.Limiter
	unheard map[uint32]time.Time // until when, by the process of the server that sends

	malformed, dropped int // since warned
	warned             time.Time
}

func newNotices(s sink, log *slog.Logger, metrics *noticeMetrics) *notices {
	return &notices{sink: s, log: log, metrics: metrics, budget: rate.NewLimiter(noticeBytes, noticeBytes), unheard: make(map[uint32]time.Time)}
}

// heardBy returns a copy of the configuration whose connections pass on what they are notified
// of as it arrives. pgx would collect without a bound what arrives while a statement runs.
func (n *notices) heardBy(base *pgx.ConnConfig) *pgx.ConnConfig {
	cfg := base.Copy()
	cfg.OnNotification = func(_ *pgconn.PgConn, got *pgconn.Notification) { n.take(got.PID, got.Payload) }
	return cfg
}

// take passes on one payload of a sender.
func (n *notices) take(sender uint32, payload string) {
	n.metrics.heard.Inc()
	if payload == "" {
		n.sink.Changed(sender, nil)
		return
	}
	now := time.Now()
	if now.Before(n.unheard[sender]) || !n.budget.AllowN(now, len(payload)) {
		n.dropped++
		n.metrics.ignored.WithLabelValues(causeTooMany).Inc()
		n.sink.Changed(sender, nil)
		n.warn()
		return
	}
	ids, ok := parsePayload(payload)
	if !ok {
		n.malformed++
		n.metrics.ignored.WithLabelValues(causeMalformed).Inc()
		n.warn()
		return
	}
	n.metrics.rings.Add(float64(len(ids)))
	if !n.sink.Changed(sender, ids) {
		n.ignore(sender, now)
	}
}

// ignore has the payloads of a sender dropped for a while.
func (n *notices) ignore(sender uint32, now time.Time) {
	if len(n.unheard) >= unheardMost {
		clear(n.unheard)
	}
	n.unheard[sender] = now.Add(unheardFor)
}

// warn logs what was ignored, once in a while.
func (n *notices) warn() {
	if time.Since(n.warned) < warnEvery {
		return
	}
	n.log.Warn("notifications are ignored: a role that can connect to the database sends them, and they are no relay's",
		"malformed", n.malformed, "too_many", n.dropped, "channels", Channel+", "+ChannelChanged)
	n.malformed, n.dropped, n.warned = 0, 0, time.Now()
}

// parsePayload reads ids with commas between. False means that it holds none, or something that is no id.
func parsePayload(payload string) ([]relay.ID, bool) {
	const each = len("018f0000-0000-7000-8000-000000000000,")
	if (len(payload)+1)%each != 0 {
		return nil, false
	}
	ids := make([]relay.ID, 0, (len(payload)+1)/each)
	for at := 0; at < len(payload); at += each {
		end := at + each - 1
		if end < len(payload) && payload[end] != ',' {
			return nil, false
		}
		id, err := relay.ParseID(payload[at:end])
		if err != nil {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, len(ids) > 0
}

// Why a notification is ignored.
const (
	causeMalformed = "malformed"
	causeTooMany   = "too_many"
)

// noticeMetrics counts what a doorbell hears by NOTIFY.
type noticeMetrics struct {
	heard   prometheus.Counter
	rings   prometheus.Counter
	ignored *prometheus.CounterVec
}

func newNoticeMetrics(r prometheus.Registerer, doorbell string) *noticeMetrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{
			Namespace: "relay", Subsystem: "cdc", Name: name, Help: help, ConstLabels: prometheus.Labels{"doorbell": doorbell},
		}
	}
	m := &noticeMetrics{
		heard: prometheus.NewCounter(opts("notifications_total", "Notifications heard.")),
		rings: prometheus.NewCounter(opts("notified_rings_total", "Ids that notifications carried; other roles may have sent them.")),
		ignored: prometheus.NewCounterVec(
			opts("notifications_ignored_total", "Notifications that were ignored."), []string{"cause"}),
	}
	for _, cause := range []string{causeMalformed, causeTooMany} {
		m.ignored.WithLabelValues(cause)
	}
	register(r, m.heard, m.rings, m.ignored)
	return m
}
