package main

import "github.com/prometheus/client_golang/prometheus"

// leastConnections is how many connections an address takes however few files may be open:
// enough for the probes of an orchestrator and a scrape at the same time.
const leastConnections = 4

// share returns how many connections an address takes: one part of the files that
// may be open, and at most most. The addresses together take a quarter, so that connections to
// the database, the broker and the destinations have the rest.
func share(files, part, most int) int { return min(max(files/part, leastConnections), most) }

// closedConnections counts, for each address, the connections that were closed to make room for
// others.
func closedConnections(r prometheus.Registerer) *prometheus.CounterVec {
	closed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "relay_admin_connections_closed_total",
		Help: "Connections that were closed because their address had too many.",
	}, []string{"variable"})
	r.MustRegister(closed)
	return closed
}
