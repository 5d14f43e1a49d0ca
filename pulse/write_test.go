package pulse

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"relay"
	"relay/sql"
	"relay/test/harness"
	"relay/test/migrated"
	"relay/trouble"
)

func TestMain(m *testing.M) { harness.Main(m) }

// What is counted stands in the tables after it was written; what could not be written is written the next time.
func TestWhatIsCountedIsWritten(t *testing.T) {
	t.Parallel()
	store, db := migrated.Open(t)
	counts := false
	p := New(Config{Store: store, Sampler: sql.NewSampler(store), ID: relay.NewID(), Counts: func() bool { return counts }, Metrics: NewMetrics(nil)})
	now := time.Now()
	p.Took(&relay.Message{Topic: "a", Body: []byte("abc")}, false, now)
	p.Wrote([]sql.Change{{Delivery: relay.DeliveryID{Subscription: "a"}, Status: relay.DeliveryDead, Cause: relay.CauseNoAck, Due: now}}, now)
	p.config.Metrics.Accepted(relay.ClassAwaitingAck, time.Second, true)
	p.config.Metrics.Accepted(relay.ClassHandled, time.Second, false)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Flush(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := db.Admin(t).Exec(t.Context(), "insert into relay.outbox (topic) values ('a')"); err != nil {
		t.Fatal(err)
	}
	for _, counts = range []bool{false, true, true} {
		if err := errors.Join(p.Flush(t.Context()), p.countOutstanding(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	var got string
	const query = `select concat_ws(' ', (select sum(taken) from relay.pulse_sent), (select sum(dead) from relay.pulse_outcome), (select count(distinct minute) from relay.pulse_standing))`
	if err := db.Admin(t).QueryRow(t.Context(), query).Scan(&got); err != nil || got != "1 1 1" {
		t.Errorf("the tables say %q, want one of each: %v", got, err)
	}
}

// One relay counts what is outstanding, once in a minute. There is no store here: to count would be a panic.
func TestOneRelayCountsWhatIsOutstandingOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		p := New(Config{Counts: func() bool { asked++; return false }, Trouble: trouble.New(slog.New(slog.DiscardHandler))})
		p.counted = time.Now().Truncate(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
		defer cancel()
		if err := p.Run(ctx); err != nil || asked != 1 {
			t.Errorf("asked %d times: %v", asked, err)
		}
	})
}
