package main

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"relay"
	"relay/sql"
)

const (
	// standingLimit bounds the wait of a scrape for the counts. Without them it has all other metrics.
	standingLimit = 2 * time.Second
	// standingSubscriptions is how many subscriptions have series of their own, the first by name; standingOther
	// stands for the rest.
	standingSubscriptions = 100
	standingOther         = "other"
)

// standing tells /metrics how many messages and deliveries have not ended well. Every relay of a database tells the
// same, and counts only when it is asked.
type standing struct {
	wired   <-chan struct{}
	sampler func() *sql.Sampler // once wired

	messages, deliveries, oldest, taken *prometheus.Desc
	failures                            prometheus.Counter
}

func newStanding(wired <-chan struct{}, sampler func() *sql.Sampler) *standing {
	return &standing{
		wired: wired, sampler: sampler,
		messages: prometheus.NewDesc("relay_outbox_messages",
			"Messages in the table by status, of the whole database; delayed ones are not counted as pending. It stops at 200,000.", []string{"status"}, nil),
		deliveries: prometheus.NewDesc("relay_outbox_deliveries",
			"Deliveries that have not ended well by subscription and status, of the whole database. It stops at 200,000 in all.", []string{"subscription", "status"}, nil),
		oldest: prometheus.NewDesc("relay_outbox_oldest_undelivered_seconds",
			"Age of the oldest message that is pending, and not delayed, or open. 0: there is none.", nil, nil),
		taken: prometheus.NewDesc("relay_outbox_counted_timestamp_seconds",
			"When the messages and deliveries were counted, by the database's clock.", nil, nil),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "relay_outbox_count_failures_total", Help: "Scrapes for which messages and deliveries could not be counted.",
		}),
	}
}

// Describe implements prometheus.Collector.
func (s *standing) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.messages, s.deliveries, s.oldest, s.taken} {
		to <- d
	}
	s.failures.Describe(to)
}

// Collect implements prometheus.Collector.
func (s *standing) Collect(to chan<- prometheus.Metric) {
	defer s.failures.Collect(to)
	select {
	case <-s.wired:
	default:
		return // it is not known yet
	}
	ctx, cancel := context.WithTimeout(context.Background(), standingLimit)
	defer cancel()
	st, err := s.sampler().Standing(ctx)
	if err != nil {
		s.failures.Inc()
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for status, n := range map[string]sql.Count{
		"pending": st.Pending, "delayed": st.Delayed, "open": st.Open, "dead": st.Dead, "rejected": st.Rejected,
	} {
		gauge(s.messages, float64(n.N), status)
	}
	for key, n := range deliveriesOf(st) {
		gauge(s.deliveries, float64(n), key.subscription, string(key.status))
	}
	gauge(s.oldest, oldest(st).Seconds())
	gauge(s.taken, float64(st.At.UnixMilli())/1000)
}

// standingKey is the labels of one count of deliveries.
type standingKey struct {
	subscription string
	status       relay.DeliveryStatus
}

// deliveriesOf counts deliveries by subscription and status.
func deliveriesOf(st sql.Standing) map[standingKey]int {
	groups := slices.Concat(st.Unfinished, st.DeadDeliveries)
	names := make([]string, 0, len(groups))
	for _, g := range groups {
		names = append(names, g.Subscription)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	named := names[:min(len(names), standingSubscriptions)]
	counts := make(map[standingKey]int)
	for _, g := range groups {
		name := g.Subscription
		if _, found := slices.BinarySearch(named, name); !found {
			name = standingOther
		}
		counts[standingKey{name, g.Status}] += g.N
	}
	return counts
}

// oldest is the age of the oldest message that is to be delivered. Zero means that there is none.
func oldest(st sql.Standing) (age time.Duration) {
	for _, at := range []*time.Time{st.OldestPending, st.OldestOpen} {
		if at != nil {
			age = max(age, st.At.Sub(*at))
		}
	}
	return age
}
