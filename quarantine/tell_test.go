package quarantine

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay"
	"relay/sql"
	"relay/test/harness"
	"relay/test/migrated"
	"relay/trouble"
)

func TestMain(m *testing.M) { harness.Main(m) }

// open returns a quarantine on a database of its own.
func open(t *testing.T) (*Quarantine, *pgxpool.Pool) {
	t.Helper()
	store, db := migrated.Open(t)
	log := slog.New(slog.DiscardHandler)
	return New(Config{Store: store, ID: relay.NewID(), Trouble: trouble.New(log), Log: log, Metrics: NewMetrics(nil)}), db.Admin(t)
}

// run has a quarantine work until the function that it returns is called.
func run(t *testing.T, q *Quarantine) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// insert inserts messages with a status.
func insert(t *testing.T, db *pgxpool.Pool, status string, n int) (ids []relay.ID) {
	t.Helper()
	for range n {
		id := relay.NewID()
		if _, err := db.Exec(t.Context(), `insert into relay.outbox (id, topic, status) values ($1, 'a', $2::text::relay.message_status)`, [16]byte(id), status); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// answer returns the text that a query finds.
func answer(t *testing.T, db *pgxpool.Pool, query string, arguments ...any) (text string) {
	t.Helper()
	if err := db.QueryRow(t.Context(), query, arguments...).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPeopleSeeWhatIsInQuarantine(t *testing.T) {
	t.Parallel()
	q, db := open(t)
	ids := insert(t, db, "done", 3)
	if err := q.Leave(); err != nil {
		t.Errorf("nothing was told: %v", err)
	}
	culprits, err := q.EachAlone(t.Context(), RemoveRow, ids, func(some []relay.ID) error {
		if slices.Contains(some, ids[1]) {
			return refuse
		}
		return nil
	})
	if err != nil || !slices.Equal(culprits, ids[1:2]) || !slices.Equal(q.Waiting(RemoveRow), culprits) {
		t.Fatalf("the culprits are %v: %v", culprits, err)
	}
	if culprits, err := q.EachAlone(t.Context(), RemoveRow, ids[1:2], func([]relay.ID) error { t.Error("it is tried too soon"); return nil }); err != nil || culprits != nil {
		t.Errorf("the culprits are %v: %v", culprits, err)
	}
	q.Deleted(relay.NewID())
	stop := run(t, q)
	harness.Eventually(t, 20*time.Second, "people are told", func() bool {
		return answer(t, db, "select coalesce(string_agg(concat_ws(' ', operation, tries), ', ' order by operation), '') from relay.quarantine") == "deleted 1, remove 1" &&
			answer(t, db, "select coalesce(last_error, '') from relay.outbox where id = $1", [16]byte(ids[1])) == "it is kept beyond its retention: "+sql.Refusal(refuse)
	})
	q.Free(Message(RemoveRow, ids[1]))
	harness.Eventually(t, 20*time.Second, "people are told of the end", func() bool {
		return answer(t, db, "select coalesce(string_agg(operation, ', '), '') from relay.quarantine") == "deleted"
	})
	stop()
	if err := q.Leave(); err != nil || answer(t, db, "select count(*)::text from relay.quarantine") != "0" {
		t.Errorf("something is left: %v", err)
	}
}

// A report that could not be written is written later, also of what has left meanwhile.
func TestWhatPeopleCouldNotBeToldIsToldLater(t *testing.T) {
	t.Parallel()
	q, db := open(t)
	left, stays := Message(ReadRow, relay.NewID()), Message(ReadRow, relay.NewID())
	q.Isolate(left, refuse)
	q.Isolate(stays, refuse)
	if err := q.report(t.Context()); err != nil {
		t.Fatal(err)
	}
	q.Free(left)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if q.report(ended) == nil {
		t.Fatal("it is told after the end")
	}
	if err := q.report(t.Context()); err != nil {
		t.Fatal(err)
	}
	if told := answer(t, db, "select string_agg(subject, ', ') from relay.quarantine"); told != stays.String() {
		t.Errorf("people are told of %s", told)
	}
}

// A trigger that refuses what a row is to tell does not keep the other rows from telling.
func TestRowsTellAlone(t *testing.T) {
	t.Parallel()
	q, db := open(t)
	ids := insert(t, db, "pending", 2)
	if _, err := db.Exec(t.Context(), `create function refuse() returns trigger language plpgsql as $$ begin
		if old.seq = (select min(seq) from relay.outbox) then raise exception 'never'; end if; return new; end $$;
		create trigger refuse before update on relay.outbox for each row execute function refuse()`); err != nil {
		t.Fatal(err)
	}
	for range 2 * tellMost {
		for _, id := range ids {
			q.Tell(sql.Telling{ID: relay.DeliveryID{Message: id}, Why: "why"})
		}
	}
	defer run(t, q)()
	harness.Eventually(t, 20*time.Second, "the second row tells", func() bool {
		return answer(t, db, "select string_agg(coalesce(last_error, ''), ',' order by seq) from relay.outbox") == ",why"
	})
}

// Two deliveries of one message that cannot be written tell of it both.
func TestEachDeliveryTells(t *testing.T) {
	t.Parallel()
	q, db := open(t)
	id := insert(t, db, "open", 1)[0]
	if _, err := db.Exec(t.Context(), `insert into relay.delivery (message_id, subscription, target, circuit, status, due_at, shard, seq)
		select id, s, 'http://x', s, 'waiting', now(), shard, seq from relay.outbox, unnest(array['a', 'b']) s`); err != nil {
		t.Fatal(err)
	}
	for _, subscription := range []string{"a", "b"} {
		q.Tell(sql.Telling{ID: relay.DeliveryID{Message: id, Subscription: subscription}, Why: "why " + subscription})
	}
	defer run(t, q)()
	harness.Eventually(t, 20*time.Second, "both tell", func() bool {
		return answer(t, db, "select string_agg(coalesce(last_error, ''), ',' order by subscription) from relay.delivery") == "why a,why b"
	})
}
