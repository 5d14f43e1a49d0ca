package cdc

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"relay/test/harness"
)

// ignored is how many notifications were ignored for a cause.
func (n *notices) ignored(t *testing.T, cause string) float64 {
	t.Helper()
	var m dto.Metric
	if err := n.metrics.ignored.WithLabelValues(cause).Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// Each notification that could not be read caused a sweep, here and on every other relay.
func TestNotificationsThatNoRelayWroteAreIgnored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := b.listening()
	s := b.streaming()
	b.forget()
	for _, payload := range []string{"nonsense", strings.Repeat("x", 7999), someID + ",", "'; drop table relay.outbox; --"} {
		for _, channel := range []string{Channel, ChannelChanged, "another"} {
			b.exec(b.db.AppURL, fmt.Sprintf("select pg_notify('%s', '%s')", channel, strings.ReplaceAll(payload, "'", "''")))
		}
	}
	b.exec(b.db.AppURL, "select pg_notify('relay_changed', '"+someID+"')")
	harness.Eventually(t, 10*time.Second, "both have heard what follows", func() bool { return b.rec.changes() == 2 })
	if rings, missed := b.rec.count(); rings != 0 || missed != 0 || b.rec.sweeps() != 0 {
		t.Errorf("%d rings, %d sweeps, %d more asked for", rings, missed, b.rec.sweeps())
	}
	if heard, streamed := l.notices.ignored(t, causeMalformed), s.notices.ignored(t, causeMalformed); heard != 8 || streamed != 4 {
		t.Errorf("the listener ignored %v, want 8; the stream %v, want 4", heard, streamed)
	}
	if n := strings.Count(b.log.String(), "notifications are ignored"); n != 2 {
		t.Errorf("%d lines, want one of each", n)
	}
}

// A flood takes neither memory nor the connection: what exceeds the rate is dropped, and one
// sweep stands for all of it.
func TestAFloodOfNotificationsIsDropped(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.streaming()
	conn := b.connect(b.db.AppURL)
	payload := strings.TrimSuffix(strings.Repeat(someID+",", 200), ",")
	const flood = `select count(pg_notify('relay_changed', $1 || to_char(n, 'FM0000000') || $2)) from generate_series(1, 6000) n`
	// Each payload differs in its first id: PostgreSQL drops repetitions.
	if _, err := conn.Exec(t.Context(), flood, payload[:29], payload[36:]); err != nil {
		t.Fatal(err)
	}
	// 44 MB: however long they take to be read within five seconds, more than these exceed the rate. What takes longer is
	// lost with the connection, whose heartbeat has no answer then.
	harness.Eventually(t, 20*time.Second, "what exceeds the rate is dropped", func() bool { return s.notices.ignored(t, causeTooMany) > 1000 })
	if b.rec.sweeps() == 0 {
		t.Error("no sweep is asked for")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	b.forget()
	for b.rec.changes() == 0 && ctx.Err() == nil {
		b.exec(b.db.AppURL, "select pg_notify('relay_changed', '"+someID+"')")
	}
	if b.rec.changes() == 0 {
		t.Error("nothing is heard after the flood")
	}
}
