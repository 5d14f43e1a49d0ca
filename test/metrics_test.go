package test

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// TestMetricsAreThereFromTheStart: promtool finds nothing to say about the metrics of a relay that has just started,
// and every series is there whose first change an alert waits for.
func TestMetricsAreThereFromTheStart(t *testing.T) {
	t.Parallel()
	s := &system{db: migrated.Database(t), receiver: newReceiver(t, nil)}
	s.app, s.admin = s.db.App(t), s.db.Admin(t)
	s.exec(t, "insert into relay.subscription (name, topics, target, max_attempts) values ('billing', '{t}', 'http://127.0.0.1:1/', 1)")
	s.relay = start(t, s.db)
	harness.Eventually(t, 10*time.Second, "the subscription is loaded", func() bool {
		_, there := s.relay.series(t)[`relay_reconcile_dead_deliveries_total{class="push",subscription="billing"}`]
		return there
	})
	first := s.relay.series(t)
	for _, series := range seriesFromTheStart {
		if value, there := first[series]; !there || value != "0" {
			t.Errorf("%s is %q at the start, want 0", series, value)
		}
	}
	for _, series := range standingSeries {
		if _, there := first[series]; !there {
			t.Errorf("%s is not there", series)
		}
	}
	_, body := get(t, "http://"+s.relay.metrics+"/metrics")
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = strings.NewReader(body)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	s.waitStatus(t, s.send(t, "topic", "'t'"), "dead")
	harness.Eventually(t, 10*time.Second, "the death is counted", func() bool {
		now := s.relay.series(t)
		return now[`relay_reconcile_dead_deliveries_total{class="push",subscription="billing"}`] == "1" &&
			now[`relay_reconcile_failed_attempts_total{cause="refused",class="push",subscription="billing"}`] == "1" &&
			now[`relay_reconcile_received_deliveries_total{subscription="billing"}`] == "1" &&
			now[`relay_outbox_messages{status="dead"}`] == "1" && now[`relay_outbox_deliveries{status="dead",subscription="billing"}`] == "1" &&
			now["relay_reconcile_received_messages_total"] == "1"
	})
}

// TestWhatIsGivenUpCountsAsADeath: nothing is tried when RELAY_GIVE_UP_AFTER is over, and yet the alert on deaths
// fires.
func TestWhatIsGivenUpCountsAsADeath(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1h", "RELAY_GIVE_UP_AFTER=1s")
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('billing', '{given.up}', 'http://127.0.0.1:1/')")
	id := s.send(t, "topic", "'given.up'")
	s.waitStatus(t, id, "dead")
	if says := s.text(t, "select last_error from relay.delivery where message_id = $1", id); !strings.Contains(says, "RELAY_GIVE_UP_AFTER") {
		t.Errorf("it died of something else: %s", says)
	}
	harness.Eventually(t, 10*time.Second, "the death is counted", func() bool {
		return s.relay.series(t)[`relay_reconcile_dead_deliveries_total{class="push",subscription="billing"}`] == "1"
	})
}

// seriesFromTheStart are zero when a relay has started.
var seriesFromTheStart = []string{
	`relay_reconcile_received_messages_total`,
	`relay_reconcile_deliveries_total{status="handled",subscription="billing"}`,
	`relay_reconcile_deliveries_total{status="delivered",subscription="default"}`,
	`relay_reconcile_deliveries_total{status="handled",subscription="other"}`,
	`relay_reconcile_received_deliveries_total{subscription="billing"}`,
	`relay_reconcile_failed_attempts_total{cause="refused",class="push",subscription="billing"}`,
	`relay_reconcile_failed_attempts_total{cause="http 503",class="push",subscription="billing"}`,
	`relay_reconcile_failed_attempts_total{cause="http",class="handle",subscription="direct"}`,
	`relay_reconcile_dead_deliveries_total{class="handle",subscription="billing"}`,
	`relay_reconcile_outcomes_total{status="rejected"}`,
	`relay_reconcile_outcomes_total{status="dead"}`,
	`relay_reconcile_commit_to_sent_seconds_count`,
	`relay_reconcile_commit_to_handled_seconds_count`,
	`relay_notify_attempts_total{outcome="dead",technology="http"}`,
	`relay_notify_attempts_total{outcome="push_failed",technology="amqp"}`,
	`relay_notify_attempt_duration_seconds_count{technology="amqp"}`,
	`relay_notify_circuits_open{named_by="operator"}`,
	`relay_notify_withheld_deliveries_total{cause="bytes"}`,
	`relay_notify_shortages_total{resource="memory"}`,
	`relay_reconcile_left_to_table_total{bound="messages"}`,
	`relay_reconcile_sweeps_total{result="failed"}`,
	`relay_reconcile_lease_renewals_total{result="failed"}`,
	`relay_reconcile_jobs_total{kind="retry"}`,
	`relay_reconcile_job_messages_total`,
	`relay_reconcile_jobs_running`,
	`relay_reconcile_acknowledgements_total{result="handled"}`,
	`relay_reconcile_quarantined_rows{operation="write_outcome"}`,
	`relay_cdc_canaries_total{result="missed"}`,
	`relay_outbox_count_failures_total`,
	`relay_outbox_messages{status="dead"}`,
	`relay_outbox_messages{status="rejected"}`,
	`relay_outbox_oldest_undelivered_seconds`,
}

// standingSeries are there too, with whatever value.
var standingSeries = []string{
	"relay_reconcile_in_flight_messages", "relay_reconcile_in_flight_bytes", `relay_reconcile_in_flight_limit{bound="messages"}`,
	`relay_reconcile_in_flight_limit{bound="bytes"}`, "relay_reconcile_owned_shards", "relay_reconcile_relays",
	"relay_cdc_confirmed_lag_bytes", "relay_cdc_restart_lag_bytes", "relay_cdc_stream_up", "relay_reconcile_sweep_seconds_total",
	`relay_outbox_messages{status="pending"}`, "relay_outbox_counted_timestamp_seconds", `relay_cdc_canaries_total{result="heard"}`,
}

// series returns all samples of /metrics by name and labels.
func (p *process) series(t testing.TB) map[string]string {
	t.Helper()
	_, body := get(t, "http://"+p.metrics+"/metrics")
	samples := make(map[string]string)
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		if at := strings.LastIndexByte(line, ' '); at > 0 {
			samples[line[:at]] = strings.TrimSpace(line[at:])
		}
	}
	return samples
}

// TestSubscriptionsAboveAHundredShareSeries: of 120 subscriptions the first hundred have series of their own.
func TestSubscriptionsAboveAHundredShareSeries(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec(t, "insert into relay.subscription (name, topics, target) select 's' || to_char(n, 'FM000'), array['t' || n], $1 from generate_series(1, 120) n", s.receiver.URL)
	harness.Eventually(t, 10*time.Second, "the subscriptions are loaded", func() bool {
		_, there := s.relay.series(t)[`relay_reconcile_deliveries_total{status="handled",subscription="s100"}`]
		return there
	})
	s.waitStatus(t, s.send(t, "topic", "'t120'"), "done")
	names := make(map[string]bool)
	for series := range maps.Keys(s.relay.series(t)) {
		if _, labels, found := strings.Cut(series, "relay_reconcile_deliveries_total{"); found {
			names[labels[strings.Index(labels, "subscription="):]] = true
		}
	}
	if len(names) != 103 || names[`subscription="s101"}`] {
		t.Errorf("%d subscriptions have series: %v", len(names), slices.Sorted(maps.Keys(names)))
	}
	// The relay counts an outcome when it hears that it is committed.
	harness.Eventually(t, 10*time.Second, "the delivery to the 120th is counted as one of the others", func() bool {
		return s.relay.series(t)[`relay_reconcile_deliveries_total{status="handled",subscription="other"}`] == "1"
	})
}
