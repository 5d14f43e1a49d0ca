package sql

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// A row with such a time made the whole batch unreadable, was never due, or was due at once
// again and again.
func TestTimesBeyondTheCalendarAreRead(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	insertAll := func(times ...string) (ids []relay.ID) {
		for _, at := range times {
			ids = append(ids, insert(t, admin, "topic, deliver_at", "'t', $1::text::timestamptz", at))
		}
		return ids
	}
	early := insertAll("-infinity", "4000-01-01 BC", "1970-01-01")
	late := insertAll("infinity", "294276-01-01", "2400-01-01")
	limits := Limits{MaxPayload: 100, Budget: 100}
	rows, err := s.ReadMessages(t.Context(), slices.Concat(early, late), limits)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		switch {
		case i >= len(early):
			if row.Verdict != NotDue {
				t.Errorf("row %d: verdict %d, want %d", i, row.Verdict, NotDue)
			}
		case row.Verdict != Readable || row.Message.Due() != row.Message.CreatedAt:
			t.Errorf("row %d: verdict %d, due since %s, before it was inserted", i, row.Verdict, row.Message.Due())
		}
	}
	due, err := s.DueMessages(t.Context(), shardsOf(lease), time.Time{}, 10)
	if err != nil || len(due) != len(early) {
		t.Errorf("%d messages are due, want %d: %v", len(due), len(early), err)
	}
	next, some, err := s.NextDue(t.Context(), shardsOf(lease))
	if err != nil || !some || next < time.Hour {
		t.Errorf("the next is due in %s: %v", next, err)
	}
	for _, id := range early {
		change := failed(id, 0)
		if _, err := s.WriteTaken(t.Context(), lease, []Change{change}); err != nil {
			t.Fatal(err)
		}
		deliveries, err := s.ReadDeliveries(t.Context(), []relay.DeliveryID{change.Delivery}, limits)
		if err != nil || deliveries[0].DueAt != deliveries[0].Message.CreatedAt {
			t.Errorf("delivery: %+v: %v", deliveries, err)
		}
	}
	if overdue, err := s.Overdue(t.Context(), shardsOf(lease), 24*time.Hour, 10); err != nil || len(overdue) != 0 {
		t.Errorf("%d deliveries of new messages are overdue: %v", len(overdue), err)
	}
	const byHand = "update relay.delivery set next_attempt_at = '-infinity'"
	if _, err := admin.Exec(t.Context(), byHand); err != nil {
		t.Fatal(err)
	}
	if due, err := s.DueDeliveries(t.Context(), shardsOf(lease), time.Time{}, 10); err != nil || len(due) != len(early) {
		t.Errorf("%d deliveries are due, want %d: %v", len(due), len(early), err)
	}
}

// What becomes due while the question is answered is due at once. A time before now was taken for none, so that a
// second passed before the relay asked again.
func TestNextDueIsNotInThePast(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	lease := own(t, s)
	if next, some, err := s.NextDue(t.Context(), shardsOf(lease)); err != nil || some {
		t.Errorf("without any, the next is due in %s: %v", next, err)
	}
	const each = `insert into relay.outbox (topic, deliver_at)
		select 't', clock_timestamp() + interval '1 second' + n * interval '20 microseconds' from generate_series(1, 50000) n`
	if _, err := db.Admin(t).Exec(t.Context(), each); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if next, _, err := s.NextDue(t.Context(), shardsOf(lease)); err != nil || next < 0 {
			t.Fatalf("the next is due in %s: %v", next, err)
		}
	}
}

// A hundred thousand behind one message that failed were walked past every ten seconds, and
// ten times a second while anything else of their circuit was parked.
func TestWhatWaitsForItsKeyIsNotWalkedPast(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	const fill = `
	insert into relay.outbox (topic, key, status, outstanding) select 't', 'k', 'open', 1 from generate_series(1, 20000);
	insert into relay.delivery (message_id, subscription, target, status, reason, circuit, shard, seq, key, due_at)
		select id, 'sub', 'x', 'waiting', 'key_blocked', 'sub', shard, seq, key, created_at from relay.outbox;
	insert into relay.delivery (message_id, subscription, target, status, reason, circuit, shard, seq, key, due_at)
		select id, 'full', 'x', 'waiting', 'full', 'sub', shard, seq, key, created_at from relay.outbox order by seq desc limit 10;
	insert into relay.delivery (message_id, subscription, target, status, reason, circuit, shard, seq, key, due_at)
		select id, 'other', 'x', 'waiting', 'key_blocked', 'other', shard, seq, key, created_at from relay.outbox limit 10`
	if _, err := admin.Exec(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	circuits, err := s.ParkedCircuits(t.Context())
	if err != nil || !slices.Equal(circuits, []Parked{{Circuit: "sub"}}) {
		t.Errorf("circuits %v: %v", circuits, err)
	}
	parked, err := s.ParkedDeliveries(t.Context(), Parked{Circuit: "sub"}, shardsOf(lease), 0, 100)
	if err != nil || len(parked) != 10 {
		t.Errorf("%d are parked, want 10: %v", len(parked), err)
	}
	for _, hot := range []hotStatement{
		{"parked", parkedDeliveries, []any{"sub", shardsOf(lease), int64(0), 100}},
		{"overdue", overdueDeliveries, []any{shardsOf(lease), time.Hour.Microseconds(), 100}},
	} {
		if n := passedBy(t, s, hot); n > 100 {
			t.Errorf("%s: %d rows are read for nothing", hot.name, n)
		}
	}
	if overdue, err := s.Overdue(t.Context(), shardsOf(lease), time.Microsecond, 100); err != nil || len(overdue) != 100 || !slices.IsSortedFunc(overdue, func(a, b Due) int { return a.At.Compare(b.At) }) {
		t.Errorf("%d are overdue: %v", len(overdue), err)
	}
}

// passedBy runs a statement and says how many rows it reads only to leave them out.
func passedBy(t *testing.T, s *Store, hot hotStatement) (n int) {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), "explain analyze "+hot.sql, hot.arguments...)
	if err != nil {
		t.Fatalf("%s: %v", hot.name, err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", hot.name, err)
	}
	for _, line := range lines {
		if _, count, ok := strings.Cut(line, "Rows Removed by Filter: "); ok {
			removed, err := strconv.Atoi(count)
			if err != nil {
				t.Fatal(err)
			}
			n += removed
		}
	}
	return n
}

// A sweep that took one shard after the other let the last messages of the first go before
// the first of the last.
func TestASweepFindsTheOldestOfAllShardsFirst(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	var ids []relay.ID
	for range 400 {
		ids = append(ids, insert(t, admin, "topic", "'t'"))
	}
	insert(t, admin, "topic, key", "'t', 'k'")
	insert(t, admin, "topic, deliver_at", "'t', now()")
	walks := make([]Walk, relay.Shards)
	for i := range walks {
		walks[i].Shard = int16(i)
	}
	const each = 2
	seen := make(map[relay.ID]bool)
	for round := 0; len(seen) < len(ids); round++ {
		found, err := s.SweepPending(t.Context(), walks, each)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 || len(found) > each*len(walks) {
			t.Fatalf("found %d in round %d", len(found), round)
		}
		for i, p := range found {
			if i > 0 && p.Seq < found[i-1].Seq {
				t.Errorf("%d comes after %d", p.Seq, found[i-1].Seq)
			}
			if p.Shard != relay.ShardOf(p.ID, "") || !slices.Contains(ids, p.ID) || seen[p.ID] {
				t.Errorf("found %+v", p)
			}
			seen[p.ID] = true
			walks[p.Shard].After = p.Seq
		}
		if round == 0 && !seen[ids[0]] {
			t.Error("the oldest is not among the first")
		}
	}
}
