package sql

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"relay"
)

func TestADelayedMessageIsReadInItsPlaceOnceItIsDue(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	const k = "k"
	if _, err := s.pool.Exec(t.Context(), `insert into relay.outbox (topic, key, deliver_at) values
		('1', $1, null), ('2', $1, now() + interval '1 hour'), ('3', $1, now() - interval '1 hour'), ('4', $1, null),
		('5', $1, now() - interval '2 hours'), ('6', $1, '-infinity'), ('7', $1, 'infinity'), ('8', 'other', now()), ('9', $1, null)`, k); err != nil {
		t.Fatal(err)
	}
	read := func(key Key, late bool, want string) {
		t.Helper()
		key.Key, key.Shard = k, relay.ShardOf(relay.ID{}, k)
		_, states, err := s.ReadKeys(t.Context(), []Key{key}, Limits{MaxPayload: 1000, Budget: 1000}, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		topics := []string{}
		for _, row := range states[0].Rows {
			topics = append(topics, row.Message.Topic)
		}
		if states[0].Late != late {
			t.Errorf("the key says late %v", states[0].Late)
		}
		if got := fmt.Sprint(topics); got != want {
			t.Errorf("after %d, at most %d, without %v: %s, want %s", key.After, key.Most, key.Taken, got, want)
		}
	}
	read(Key{Most: 10}, true, "[1 4 9]")
	releaseAll(t, s, 4)
	read(Key{Most: 10}, false, "[1 3 4 5 6 9]")
	read(Key{Most: 4}, false, "[1 3 4 5]")
	read(Key{Most: 10, After: 4}, false, "[5 6 9]")
	read(Key{Most: 10, After: 4, Taken: []int64{5}}, false, "[6 9]")
	// A person puts one off.
	if _, err := db.Admin(t).Exec(t.Context(), "update relay.outbox set deliver_at = now() + interval '1 hour' where topic = '5'"); err != nil {
		t.Fatal(err)
	}
	read(Key{Most: 10}, false, "[1 3 4 6 9]")
	releaseAll(t, s, 0)
}

// releaseAll makes everything due that is, and expects n messages.
func releaseAll(t *testing.T, s *Store, want int) {
	t.Helper()
	all := make([]int16, relay.Shards)
	for i := range all {
		all[i] = int16(i)
	}
	found, err := s.DueMessages(t.Context(), all, time.Time{}, 200_000)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]relay.ID, len(found))
	for i, due := range found {
		ids[i] = due.ID.Message
	}
	released, err := s.ReleaseDue(t.Context(), ids)
	if err != nil || len(released) != want {
		t.Fatalf("%d have become due, want %d: %v", len(released), want, err)
	}
	if found, err := s.DueMessages(t.Context(), all, time.Time{}, 10); err != nil || len(found) != 0 {
		t.Fatalf("%d are due once more: %v", len(found), err)
	}
}

// With a hundred thousand due messages in one key a read took a tenth of a second.
func TestManyDueMessagesOfAKeyAreReadInAMoment(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	const k, due = "k", 100_000
	if _, err := db.Admin(t).Exec(t.Context(), "insert into relay.outbox (topic, key, deliver_at, due) select 't', $1, now() - n * interval '1 ms', true from generate_series(1, $2) n", k, due); err != nil {
		t.Fatal(err)
	}
	key := Key{Key: k, Shard: relay.ShardOf(relay.ID{}, k), Most: 64}
	fastest := time.Hour
	for range 20 {
		begun := time.Now()
		_, states, err := s.ReadKeys(t.Context(), []Key{key}, Limits{MaxPayload: 1000, Budget: 1_000_000}, nil, 1)
		if err != nil || len(states[0].Rows) != key.Most {
			t.Fatalf("%d rows: %v", len(states[0].Rows), err)
		}
		fastest = min(fastest, time.Since(begun))
		key.After = states[0].Rows[key.Most-1].Message.Seq
	}
	t.Logf("a read takes %s", fastest)
	if fastest > 5*time.Millisecond {
		t.Errorf("a read takes %s", fastest)
	}
}

// What waits of a key is read with its pending messages, in one snapshot: of each subscriber the first, with what it
// waits for, and what is dead of those that block.
func TestWhatWaitsOfAKeyIsReadWithIt(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	if _, err := s.pool.Exec(t.Context(), `insert into relay.outbox (topic, key, status) select n::text, 'k', 'open' from generate_series(1, 7) n;
		insert into relay.outbox (topic, key) values ('8', 'k');
		insert into relay.delivery (message_id, subscription, target, status, reason, next_attempt_at, circuit, shard, key, seq, due_at, delivered_at)
			select o.id, w.sub, 'x', w.status::relay.delivery_status, w.reason, now() + w.next, 'c', o.shard, o.key, o.seq, now(), w.accepted
			from (values
				('1', 'a', 'dead', null, null::interval, null::timestamptz), ('1', 'b', 'dead', null, null, null),
				('2', 'a', 'push_failed', null, '1 hour', null), ('3', 'a', 'waiting', 'key_blocked', null, null), ('4', 'a', 'waiting', 'key_blocked', null, null),
				('3', 'b', 'push_failed', null, '-1 second', null), ('5', 'c', 'waiting', 'paused', null, null),
				('6', 'd', 'awaiting_ack', null, '1 hour', now()), ('7', 'd', 'handled', null, null, now())
			) w (topic, sub, status, reason, next, accepted) join relay.outbox o using (topic)`); err != nil {
		t.Fatal(err)
	}
	key := Key{Key: "k", Shard: relay.ShardOf(relay.ID{}, "k"), Most: 10}
	snapshot, states, err := s.ReadKeys(t.Context(), []Key{{Key: "none", Shard: 1, Most: 10}, key}, Limits{MaxPayload: 1000, Budget: 1000}, []string{"b"}, 2)
	if err != nil || len(states) != 2 || len(states[0].Rows)+len(states[0].Waiting) != 0 {
		t.Fatalf("states %+v: %v", states, err)
	}
	if rows := states[1].Rows; len(rows) != 1 || rows[0].Message.Topic != "8" || !snapshot.Shows(rows[0].XID) {
		t.Errorf("rows %+v in snapshot %+v", rows, snapshot)
	}
	var got []string
	for _, w := range states[1].Waiting {
		got = append(got, fmt.Sprint(w.ID.Subscription, w.Seq, w.State))
	}
	want := []string{
		fmt.Sprint("a", 2, relay.WaitsForTime), fmt.Sprint("a", 3, relay.WaitsForKey), fmt.Sprint("b", 3, relay.WaitsDue), fmt.Sprint("c", 5, relay.WaitsForRoom),
		fmt.Sprint("b", 1, relay.WaitsDead),
	}
	slices.Sort(got[:3]) // those of one sequence have no order
	if !slices.Equal(got, want) {
		t.Errorf("what waits is %v, want %v", got, want)
	}
	keys, err := s.SweepWaitingKeys(t.Context(), []int16{key.Shard}, Position{}, 10)
	if err != nil || len(keys) != 1 || keys[0].Key != "k" || keys[0].Shard != key.Shard {
		t.Errorf("the sweep finds %+v: %v", keys, err)
	}
}
