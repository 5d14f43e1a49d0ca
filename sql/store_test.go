package sql

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay"
	"relay/test/harness"
)

// open returns a store on a fresh, migrated database, as the relay's own role.
func open(t *testing.T) (*Store, *harness.DB) {
	t.Helper()
	db := migrated.Database(t)
	return openAt(t, db.URL), db
}

// migrated is a database that Migrate has prepared.
var migrated = harness.Template{Make: func(t testing.TB, db *harness.DB) {
	s, err := Open(t.Context(), db.URL, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
}}

func openAt(t *testing.T, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// own takes every shard, for a minute unless a time is given, and returns the lease.
func own(t *testing.T, s *Store, ttl ...time.Duration) Lease {
	t.Helper()
	lease, _, err := s.Renew(t.Context(), Instance{ID: relay.NewID(), Name: "test"}, append(ttl, time.Minute)[0], true, new(Watch))
	if err != nil {
		t.Fatal(err)
	}
	if len(lease.Epochs) != relay.Shards {
		t.Fatalf("owns %d shards, want all", len(lease.Epochs))
	}
	return lease
}

// insert adds one message and returns its id.
func insert(t *testing.T, db *pgxpool.Pool, columns, values string, arguments ...any) relay.ID {
	t.Helper()
	var id [16]byte
	err := db.QueryRow(t.Context(), fmt.Sprintf("insert into relay.outbox (%s) values (%s) returning id", columns, values), arguments...).Scan(&id)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func messageStatus(t *testing.T, db *pgxpool.Pool, id relay.ID) (status string, outstanding int) {
	t.Helper()
	err := db.QueryRow(t.Context(), "select status::text, outstanding from relay.outbox where id = $1", [16]byte(id)).Scan(&status, &outstanding)
	if err != nil {
		t.Fatal(err)
	}
	return status, outstanding
}

func taken(id relay.ID, subscription string, status relay.DeliveryStatus) Change {
	return Change{
		Delivery: relay.DeliveryID{Message: id, Subscription: subscription, Instance: "x"}, Shard: relay.ShardOf(id, ""), Target: "x", Circuit: "c", Taking: true,
		MessageStatus: relay.MessageDone, Status: status, Attempts: 1, NextAttempt: -1,
		Attempt: &relay.Attempt{Number: 1, Started: time.Now(), Duration: time.Millisecond, Outcome: status},
	}
}

func TestMigrateIsIdempotentAndSafeUnderConcurrentStarts(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			s := openAt(t, db.URL)
			report := func(r StepReport) {
				if !r.New {
					t.Errorf("%s, step %d, is not told as one of a new schema", r.Migration, r.Step)
				}
			}
			if _, to, err := s.MigrateReporting(context.Background(), report); err != nil || to < 1 {
				t.Errorf("migrated to %d: %v", to, err)
			}
		})
	}
	group.Wait()
	s := openAt(t, db.URL)
	from, to, err := s.Migrate(t.Context())
	if err != nil || from != to {
		t.Fatalf("a second run went from %d to %d: %v", from, to, err)
	}
	have, need, err := s.SchemaVersion(t.Context())
	if err != nil || have != need {
		t.Fatalf("have %d, need %d: %v", have, need, err)
	}
}

func TestMigrateOnEveryVersion(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 16, 17, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			db := harness.DatabaseOn(t, major)
			s := openAt(t, db.URL)
			if _, _, err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Grant(t.Context(), "app"); err != nil {
				t.Fatal(err)
			}
			app := db.App(t)
			id := insert(t, app, "topic, payload", "'order.created', '{}'")
			rows, err := s.ReadMessages(t.Context(), []relay.ID{id}, Limits{MaxPayload: 100, Budget: 100})
			if err != nil || rows[0].Verdict != Readable {
				t.Fatalf("%+v: %v", rows, err)
			}
		})
	}
}

func TestMigrateRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	if _, err := db.Admin(t).Exec(t.Context(), "update relay.schema_version set version = 1000"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Migrate(t.Context()); err == nil {
		t.Fatal("an old program migrated a newer schema")
	}
}

func TestShardAgreesWithTheTable(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	rows, err := db.Admin(t).Query(t.Context(), `
		insert into relay.outbox (topic, key) select 't', nullif(repeat('kÄ', n % 40), '') from generate_series(1, 400) n
		returning id, coalesce(key, ''), shard`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id [16]byte
		var key string
		var shard int16
		if err := rows.Scan(&id, &key, &shard); err != nil {
			t.Fatal(err)
		}
		if got := relay.ShardOf(id, key); got != shard {
			t.Fatalf("ShardOf(%x, %q) = %d, the table has %d", id, key, got, shard)
		}
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	var shards int
	if err := db.Admin(t).QueryRow(t.Context(), "select count(*) from relay.lease").Scan(&shards); err != nil || shards != relay.Shards {
		t.Errorf("the table has leases of %d shards, want %d: %v", shards, relay.Shards, err)
	}
}

func TestIDsAreTimeOrderedVersion7(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	var ids [][16]byte
	for range 3 {
		ids = append(ids, insert(t, db.Admin(t), "topic", "'t'"))
		time.Sleep(2 * time.Millisecond)
	}
	for _, id := range ids {
		if id[6]>>4 != 7 || id[8]>>6 != 2 {
			t.Fatalf("%x is no version 7 UUID", id)
		}
	}
	if !slices.IsSortedFunc(ids, func(a, b [16]byte) int { return slices.Compare(a[:], b[:]) }) {
		t.Fatalf("ids are not ordered by time: %x", ids)
	}
}

func TestReadBoundsSizesBeforeReading(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	small := insert(t, admin, "topic, payload", `'t', '{"a" :  1}'`)
	large := insert(t, admin, "topic, payload", `'t', to_json(repeat('x', 1000))::text`)
	later := insert(t, admin, "topic, deliver_at", `'t', now() + interval '1 hour'`)
	ended := insert(t, admin, "topic, status", `'t', 'done'`)
	second := insert(t, admin, "topic, body, content_type", `'t', '\x00ff', 'application/octet-stream'`)
	ids := []relay.ID{small, large, later, ended, relay.NewID(), second}
	rows, err := s.ReadMessages(t.Context(), ids, Limits{MaxPayload: 500, Budget: 11})
	if err != nil {
		t.Fatal(err)
	}
	var got []Verdict
	for _, row := range rows {
		got = append(got, row.Verdict)
	}
	want := []Verdict{NoRoom, TooLarge, NotDue, Ended, Unseen, Readable}
	if !slices.Equal(got, want) {
		t.Fatalf("verdicts %v, want %v", got, want)
	}
	if string(rows[5].Message.Body) != "\x00\xff" {
		t.Fatalf("body %q", rows[5].Message.Body)
	}
	rows, err = s.ReadMessages(t.Context(), []relay.ID{small}, Limits{MaxPayload: 500, Budget: 10})
	if err != nil || string(rows[0].Message.Body) != `{"a" :  1}` {
		t.Fatalf("%+v: %v", rows, err)
	}
}

func TestWriteTakenEndsTheMessage(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	id := insert(t, admin, "topic, key", "'t', 'k'")
	change := taken(id, "direct", relay.DeliveryHandled)
	change.Shard = relay.ShardOf(id, "k")
	written, err := s.WriteTaken(t.Context(), lease, []Change{change})
	if err != nil || len(written) != 1 {
		t.Fatalf("wrote %d: %v", len(written), err)
	}
	if status, n := messageStatus(t, admin, id); status != "done" || n != 0 {
		t.Fatalf("message is %s with %d outstanding", status, n)
	}
	var attempts int
	err = admin.QueryRow(t.Context(), `select count(*) from relay.attempt a join relay.delivery d using (message_id, subscription, instance)
		where d.handled_at is not null and d.key = 'k' and a.attempt = 1`).Scan(&attempts)
	if err != nil || attempts != 1 {
		t.Fatalf("%d attempts: %v", attempts, err)
	}
}

func TestTwoSubscribersEndingAtOnceEndTheMessage(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	id := insert(t, admin, "topic", "'t'")
	first := taken(id, "a", relay.DeliveryPushFailed)
	first.MessageStatus, first.Outstanding, first.NextAttempt = relay.MessageOpen, 2, time.Hour
	second := first
	second.Delivery.Subscription = "b"
	if _, err := s.WriteTaken(t.Context(), lease, []Change{first, second}); err != nil {
		t.Fatal(err)
	}
	if status, n := messageStatus(t, admin, id); status != "open" || n != 2 {
		t.Fatalf("message is %s with %d outstanding", status, n)
	}
	var group sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		group.Go(func() {
			change := taken(id, name, relay.DeliveryHandled)
			if name == "b" {
				change.Status = relay.DeliveryDead
			}
			harness.Eventually(t, 10*time.Second, "the row is free", func() bool {
				written, err := s.WriteOpen(context.Background(), lease, []Change{change})
				return err == nil && len(written) == 1
			})
		})
	}
	group.Wait()
	if status, n := messageStatus(t, admin, id); status != "dead" || n != 0 {
		t.Fatalf("message is %s with %d outstanding", status, n)
	}
}

func TestWriteSkipsALockedRow(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	locked, free := insert(t, admin, "topic", "'t'"), insert(t, admin, "topic", "'t'")
	tx, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), "select 1 from relay.outbox where id = $1 for update", [16]byte(locked)); err != nil {
		t.Fatal(err)
	}
	changes := []Change{taken(locked, "a", relay.DeliveryHandled), taken(free, "a", relay.DeliveryHandled)}
	written, err := s.WriteTaken(t.Context(), lease, changes)
	if err != nil || !slices.Equal(written, []relay.ID{free}) {
		t.Fatalf("wrote %v: %v", written, err)
	}
	there, err := s.StillThere(t.Context(), []relay.ID{locked, free}, false)
	if err != nil || !slices.Equal(there, []relay.ID{locked}) {
		t.Fatalf("still there: %v: %v", there, err)
	}
}

// Writes used to lock the lease rows in the order of a Go map.
func TestWritesAndRenewalsDoNotDeadlock(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, me := db.Admin(t), Instance{ID: relay.NewID(), Name: "test"}
	lease, _, err := s.Renew(t.Context(), me, time.Minute, true, new(Watch))
	if err != nil {
		t.Fatal(err)
	}
	changes := make([]Change, 200) // so that most shards are among them
	for i := range changes {
		changes[i] = taken(insert(t, admin, "topic", "'t'"), "a", relay.DeliveryHandled)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for range 300 {
			if _, _, err := s.Renew(t.Context(), me, time.Minute, true, new(Watch)); err != nil {
				t.Error(err)
			}
		}
	})
	for range 2 {
		group.Go(func() {
			for range 300 {
				if _, err := s.WriteTaken(t.Context(), lease, changes); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestAZombieWritesNothing(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, zombie := db.Admin(t), own(t, s)
	id := insert(t, admin, "topic", "'t'")
	if _, err := admin.Exec(t.Context(), "update relay.lease set owner = null"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), "update relay.instance set seen_at = '-infinity'"); err != nil {
		t.Fatal(err)
	}
	heir := own(t, s)
	written, err := s.WriteTaken(t.Context(), zombie, []Change{taken(id, "a", relay.DeliveryHandled)})
	if err != nil || len(written) != 0 {
		t.Fatalf("the zombie wrote %v: %v", written, err)
	}
	written, err = s.WriteTaken(t.Context(), heir, []Change{taken(id, "a", relay.DeliveryHandled)})
	if err != nil || len(written) != 1 {
		t.Fatalf("the heir wrote %v: %v", written, err)
	}
}

func TestRelaysShareTheShardsEvenly(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	first, second := Instance{ID: relay.NewID()}, Instance{ID: relay.NewID()}
	if _, _, err := s.Renew(t.Context(), first, time.Minute, true, new(Watch)); err != nil {
		t.Fatal(err)
	}
	lease, fleet, err := s.Renew(t.Context(), second, time.Minute, true, new(Watch))
	if err != nil || fleet.Relays != 2 || len(lease.Epochs) != 0 {
		t.Fatalf("%d relays, %d shards: %v", fleet.Relays, len(lease.Epochs), err)
	}
	if err := s.Release(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	lease, fleet, err = s.Renew(t.Context(), second, time.Minute, true, new(Watch))
	if err != nil || fleet.Relays != 1 || len(lease.Epochs) != relay.Shards {
		t.Fatalf("%d relays, %d shards: %v", fleet.Relays, len(lease.Epochs), err)
	}
}

// What a relay that stops gives up is free for the others at once: it has no share any more.
func TestARelayThatStopsKeepsItsLeasesAndIsNotCounted(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	first, second := Instance{ID: relay.NewID()}, Instance{ID: relay.NewID()}
	if _, _, err := s.Renew(t.Context(), first, time.Minute, true, new(Watch)); err != nil {
		t.Fatal(err)
	}
	lease, _, err := s.Renew(t.Context(), first, time.Minute, false, new(Watch))
	if err != nil || len(lease.Epochs) != relay.Shards {
		t.Fatalf("the one that stops has %d shards: %v", len(lease.Epochs), err)
	}
	if err := s.GiveUp(t.Context(), first.ID, shardsOf(lease)[1:]); err != nil {
		t.Fatal(err)
	}
	lease, fleet, err := s.Renew(t.Context(), second, time.Minute, true, new(Watch))
	if err != nil || fleet.Relays != 1 || len(lease.Epochs) != relay.Shards-1 {
		t.Fatalf("the other is one of %d and has %d shards: %v", fleet.Relays, len(lease.Epochs), err)
	}
	if lease, _, err = s.Renew(t.Context(), first, time.Minute, false, new(Watch)); err != nil || len(lease.Epochs) != 1 {
		t.Fatalf("the one that stops has %d shards: %v", len(lease.Epochs), err)
	}
}

func TestRetentionRemovesOnlyWhatEndedWell(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	done := insert(t, admin, "topic", "'t'")
	if _, err := s.WriteTaken(t.Context(), lease, []Change{taken(done, "a", relay.DeliveryHandled)}); err != nil {
		t.Fatal(err)
	}
	insert(t, admin, "topic, status", "'t', 'dead'")
	insert(t, admin, "topic, status", "'t', 'rejected'")
	if _, err := admin.Exec(t.Context(), "update relay.outbox set created_at = now() - interval '2 days', finished_at = now() - interval '2 days'"); err != nil {
		t.Fatal(err)
	}
	insert(t, admin, "topic, status, finished_at", "'t', 'done', now()")
	kept, err := s.FindKept(t.Context(), 24*time.Hour, time.Time{}, nil, 100)
	if err != nil || len(kept) != 1 || kept[0].ID != done {
		t.Fatalf("found %v: %v", kept, err)
	}
	if kept, err := s.FindKept(t.Context(), 24*time.Hour, time.Time{}, []relay.ID{done}, 100); err != nil || len(kept) != 0 {
		t.Fatalf("found %v although it is to be passed over: %v", kept, err)
	}
	if gone, err := s.RemoveMessages(t.Context(), []relay.ID{done}); err != nil || !slices.Equal(gone, []relay.ID{done}) {
		t.Fatalf("removed %v: %v", gone, err)
	}
	var messages, deliveries, attempts int
	err = admin.QueryRow(t.Context(), `select (select count(*) from relay.outbox), (select count(*) from relay.delivery),
		(select count(*) from relay.attempt)`).Scan(&messages, &deliveries, &attempts)
	if err != nil || messages != 3 || deliveries != 0 || attempts != 0 {
		t.Fatalf("%d messages, %d deliveries, %d attempts are left: %v", messages, deliveries, attempts, err)
	}
}
