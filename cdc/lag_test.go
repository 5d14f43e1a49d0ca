package cdc

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"relay/test/harness"
)

// value reads a counter or gauge.
func value(m prometheus.Metric) float64 {
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		return -1
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}

func TestLagIsToldApartAndItsHolderNamed(t *testing.T) {
	t.Parallel()
	b := newBenchOwn(t, map[string]string{"max_prepared_transactions": "5"})
	reg := prometheus.NewRegistry()
	b.cfg.Registerer = reg
	r := b.streaming()
	writer := b.connect(b.db.AppURL)
	if _, err := writer.Exec(t.Context(), "begin; insert into relay.outbox (key) values ('open')"); err != nil {
		t.Fatal(err)
	}
	b.relay("begin; insert into relay.outbox (key) values ('prepared'); prepare transaction 'p'")
	b.relay("create table relay.noise (t text)")
	b.admin("select pg_create_physical_replication_slot('standby', true)")
	b.relay("insert into relay.noise select repeat('x', 1000) from generate_series(1, 5000)")
	harness.Eventually(t, 10*time.Second, "the lags differ", func() bool {
		st := r.State()
		return st.RestartLag > 4<<20 && st.ConfirmedLag >= 0 && st.ConfirmedLag < 1<<20
	})
	conn := b.connect(b.db.URL)
	b.relay("select pg_sleep(1)") // those of a moment are not named
	holders, err := Holders(t.Context(), conn, b.cfg.Slot)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, h := range holders {
		names = append(names, h.Name+": "+h.Mend)
	}
	all := strings.Join(names, "\n")
	for _, part := range []string{"the open transaction of pid ", "(app, ", "prepared transaction 'p' (relay, xid ", "rollback prepared 'p'"} {
		if !strings.Contains(all, part) {
			t.Errorf("%q is not among\n%s", part, all)
		}
	}
	if last := holders[len(holders)-1]; last.Name != `slot "standby"` || last.Bytes < 4<<20 {
		t.Errorf("the slot that holds more is not named:\n%s", all)
	}
	holders, err = Holders(t.Context(), conn, "standby")
	for _, h := range holders {
		if strings.HasPrefix(h.Name, "slot") || err != nil {
			t.Errorf("holders before the standby: %+v, error %v", h, err)
		}
	}
	if got := value(r.metrics.restartLag); got < 4<<20 {
		t.Errorf("metric of the restart lag: %v", got)
	}
	if _, err := ReadLag(t.Context(), conn, "none"); !errors.Is(err, ErrNoSlot) {
		t.Errorf("lag of no slot: %v", err)
	}
}

// Without a stream the slot kept WAL that neither the metrics nor the state showed, and the last
// measured value stayed for ever.
func TestLagIsMeasuredWithoutAStream(t *testing.T) {
	t.Parallel()
	b := newBenchOwn(t, nil)
	r := b.streaming()
	b.admin("alter role relay noreplication")
	b.admin("select pg_terminate_backend(active_pid, 10000) from pg_replication_slots where active")
	b.relay("create table relay.noise (t text); insert into relay.noise select repeat('x', 1000) from generate_series(1, 5000)")
	b.until(r, "no replication right")
	harness.Eventually(t, 20*time.Second, "the lag is told beside the reason", func() bool {
		st := r.State()
		text := st.String()
		return st.ConfirmedLag > 4<<20 && st.RestartLag > 4<<20 && strings.HasPrefix(text, "no stream: role") && strings.Contains(text, "confirmed lag ") &&
			value(r.metrics.confirmedLag) > 4<<20 && value(r.metrics.restartLag) > 4<<20
	})
	b.admin("select pg_drop_replication_slot('" + b.cfg.Slot + "')")
	harness.Eventually(t, 20*time.Second, "without a slot nothing lags", func() bool {
		return r.State().ConfirmedLag == -1 && value(r.metrics.confirmedLag) == 0 && value(r.metrics.restartLag) == 0
	})
	writer := b.connect(b.db.AppURL)
	if _, err := writer.Exec(t.Context(), "begin; insert into relay.outbox (key) values ('open')"); err != nil {
		t.Fatal(err)
	}
	b.admin("alter role relay replication")
	b.until(r, "waits for the open transaction")
	b.relay("insert into relay.noise select repeat('x', 1000) from generate_series(1, 5000)")
	harness.Eventually(t, 20*time.Second, "a slot that is being made keeps WAL too", func() bool { return r.State().RestartLag > 4<<20 })
	if _, err := writer.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, "it streams", r.Streaming)
	r.stop()
	if st := r.State(); st.ConfirmedLag != -1 || value(r.metrics.restartLag) != 0 {
		t.Errorf("a relay that does not hold the slot reports a lag: %s", st)
	}
}

func TestMetricsHaveTheirNames(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	newStreamMetrics(reg)
	newListenerMetrics(reg)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "relay_cdc_") {
			t.Errorf("metric %s", f.GetName())
		}
	}
}
