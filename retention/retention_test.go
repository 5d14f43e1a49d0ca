package retention

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"relay"
	"relay/quarantine"
	"relay/test/harness"
	"relay/test/migrated"
	"relay/trouble"
)

func TestMain(m *testing.M) { harness.Main(m) }

// What has been kept long enough is removed, but for what cannot be; ends by hand are noted.
func TestWhatIsOldIsRemoved(t *testing.T) {
	t.Parallel()
	store, db := migrated.Open(t)
	log := slog.New(slog.DiscardHandler)
	isolated := quarantine.New(quarantine.Config{Log: log, Metrics: quarantine.NewMetrics(nil)})
	forAll, troubles := false, trouble.New(log)
	r := New(Config{
		Store: store, Retention: time.Minute, ForAll: func() bool { return forAll }, Quarantine: isolated,
		Trouble: troubles, Metrics: NewMetrics(nil),
	})
	exec := func(statement string, arguments ...any) {
		t.Helper()
		if _, err := db.Admin(t).Exec(t.Context(), statement, arguments...); err != nil {
			t.Fatal(err)
		}
	}
	kept := relay.NewID()
	exec("insert into relay.outbox (topic, status, finished_at) select 'a', 'done', now() - interval '1 hour' from generate_series(1, $1)", 2*batch)
	exec("insert into relay.outbox (id, topic, status, finished_at) values ($1, 'a', 'done', now() - interval '1 hour')", [16]byte(kept))
	exec("create table refers (id uuid references relay.outbox)")
	exec("insert into refers values ($1)", [16]byte(kept))
	exec("insert into relay.outbox (topic, status) values ('a', 'done')")
	for _, forAll = range []bool{false, true} {
		if r.remove(t.Context()); troubles.Last() != "" {
			t.Error(troubles.Last())
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ended); err != nil {
		t.Error(err)
	}
	var left, unstamped int
	const query = "select count(*), count(*) filter (where finished_at is null) from relay.outbox"
	if err := db.Admin(t).QueryRow(t.Context(), query).Scan(&left, &unstamped); err != nil || left != 2 || unstamped != 0 {
		t.Errorf("%d messages are left, %d without a time, want the one that is referred to and the one that has ended just now: %v", left, unstamped, err)
	}
	if waiting := isolated.Waiting(quarantine.RemoveRow); !slices.Equal(waiting, []relay.ID{kept}) {
		t.Errorf("there wait %v", waiting)
	}
}

// Without a retention no message is removed. What one relay removes for all is left to that one.
func TestOtherRelaysAndNoRetentionAreRespected(t *testing.T) {
	t.Parallel()
	asked := 0
	r := New(Config{ForAll: func() bool { asked++; return false }})
	for _, remove := range []func(context.Context) error{r.messages, r.jobs, r.forPeople} {
		if err := remove(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once for what is kept for people", asked)
	}
}
