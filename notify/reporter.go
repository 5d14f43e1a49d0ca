package notify

import (
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"relay"
)

// rowReports bounds how many changes of the circuits of rows' own targets are logged: a
// burst, then one in each interval. Rows may name any number.
const (
	rowReports        = 20
	rowReportInterval = 10 * time.Second
)

// reporter logs and counts that circuits open and close.
type reporter struct {
	log     *slog.Logger
	metrics *Metrics
	rows    *rate.Limiter
	unsaid  atomic.Int64 // changes of rows' circuits since the last that was logged
}

func newReporter(log *slog.Logger, metrics *Metrics) *reporter {
	return &reporter{log: log, metrics: metrics, rows: rate.NewLimiter(rate.Every(rowReportInterval), rowReports)}
}

// changed notes that a circuit has opened, because of an error, or closed.
func (r *reporter) changed(c *circuit, direct, open bool, err string) {
	r.metrics.circuit(direct, open)
	name := []any{"destination", relay.ShowCircuit(c.name)}
	if direct {
		if !r.rows.Allow() {
			r.unsaid.Add(1)
			return
		}
		name = append(name, "named_by", "row", "not_logged_before", r.unsaid.Swap(0))
	}
	if open {
		r.log.Warn("destination is down: its messages wait in the table and one at a time probes it", append(name, "error", err)...)
		return
	}
	r.log.Info("destination is up again", name...)
}

// forgotten notes that a circuit that is open is not remembered any more.
func (r *reporter) forgotten(direct bool) { r.metrics.circuit(direct, false) }
