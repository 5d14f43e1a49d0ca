package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay"
	"relay/quarantine"
	"relay/sql"
	"relay/test/harness"
	"relay/test/migrated"
	"relay/trouble"
)

func TestMain(m *testing.M) { harness.Main(m) }

// open returns a store on a database of its own with dead messages.
func open(t *testing.T, dead int) (*sql.Store, *pgxpool.Pool) {
	t.Helper()
	store, db := migrated.Open(t)
	if _, err := db.Admin(t).Exec(t.Context(), "insert into relay.outbox (topic, status) select 'a', 'dead' from generate_series(1, $1)", dead); err != nil {
		t.Fatal(err)
	}
	return store, db.Admin(t)
}

// retry starts a job that retries what is dead.
func retry(t *testing.T, store *sql.Store, rate float64) {
	t.Helper()
	job, err := store.PlanJob(t.Context(), sql.JobRetry, sql.MessageFilter{Status: sql.Statuses{relay.MessageDead}}, rate, time.Second)
	if err == nil {
		_, err = store.StartJob(t.Context(), &job, 0, sql.Once{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run has a runner work until the test ends.
func run(t *testing.T, config Config) *Runner {
	t.Helper()
	config.Log = slog.New(slog.DiscardHandler)
	config.Trouble, config.Metrics = trouble.New(config.Log), NewMetrics(nil)
	config.Quarantine = quarantine.New(quarantine.Config{Log: config.Log, Metrics: quarantine.NewMetrics(nil)})
	r := New(config)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// awaitRunning waits until want jobs run.
func awaitRunning(t *testing.T, db *pgxpool.Pool, want int) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, fmt.Sprintf("%d jobs run", want), func() bool {
		n := -1
		err := db.QueryRow(t.Context(), "select count(*) from relay.job where status = 'running'").Scan(&n)
		return err == nil && n == want
	})
}

// A message that cannot be changed does not keep its job. A relay that does not run jobs leaves them alone.
func TestAJobIsDoneButForWhatCannotBeChanged(t *testing.T) {
	t.Parallel()
	store, db := open(t, 20)
	if _, err := db.Exec(t.Context(), `create function refuse() returns trigger language plpgsql as $$ begin
		if old.seq = (select min(seq) from relay.outbox) and new.status <> old.status then raise exception 'never'; end if; return new; end $$;
		create trigger refuse before update on relay.outbox for each row execute function refuse()`); err != nil {
		t.Fatal(err)
	}
	lease, _, err := store.Renew(t.Context(), sql.Instance{ID: relay.NewID(), Name: "test"}, time.Minute, true, new(sql.Watch))
	if err != nil {
		t.Fatal(err)
	}
	var runs atomic.Bool
	var changed atomic.Int64
	r := run(t, Config{
		Store: store, Lease: func() (sql.Lease, bool) { return lease, runs.Load() }, Changed: func(step sql.JobStep) { changed.Add(int64(step.Changed)) },
	})
	retry(t, store, 0)
	time.AfterFunc(2*every, func() { runs.Store(true) })
	r.Arrived(time.Now())
	awaitRunning(t, db, 0)
	var dead int
	if err := db.QueryRow(t.Context(), "select count(*) from relay.outbox where status = 'dead'").Scan(&dead); err != nil || dead != 1 {
		t.Errorf("%d messages are dead: %v", dead, err)
	}
	if changed.Load() < 19 || len(r.config.Quarantine.Waiting(quarantine.ChangeByJob)) != 1 || !runs.Load() {
		t.Errorf("%d messages were changed, and %d are in quarantine", changed.Load(), r.config.Quarantine.Total())
	}
}

// A job whose messages another session has locked tries again, and one goes on by its rate.
func TestAJobWaitsForWhatIsLocked(t *testing.T) {
	t.Parallel()
	store, db := open(t, 3)
	lease, _, err := store.Renew(t.Context(), sql.Instance{ID: relay.NewID(), Name: "test"}, time.Minute, true, new(sql.Watch))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "select from relay.outbox for update"); err != nil {
		t.Fatal(err)
	}
	locked := make(chan struct{}, 1000)
	run(t, Config{Store: store, Lease: func() (sql.Lease, bool) { return lease, true }, Changed: func(step sql.JobStep) {
		if step.Locked > 0 {
			locked <- struct{}{}
		}
	}})
	retry(t, store, 20)
	<-locked
	<-locked
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitRunning(t, db, 0)
}
