package sql

import (
	"fmt"
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
		rows, err := s.ReadKeys(t.Context(), []Key{key}, Limits{MaxPayload: 1000, Budget: 1000})
		if err != nil {
			t.Fatal(err)
		}
		topics := []string{}
		for _, row := range rows[0] {
			topics = append(topics, row.Message.Topic)
			if row.Late != late {
				t.Errorf("message %s says late %v", row.Message.Topic, row.Late)
			}
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
		rows, err := s.ReadKeys(t.Context(), []Key{key}, Limits{MaxPayload: 1000, Budget: 1_000_000})
		if err != nil || len(rows[0]) != key.Most {
			t.Fatalf("%d rows: %v", len(rows[0]), err)
		}
		fastest = min(fastest, time.Since(begun))
		key.After = rows[0][key.Most-1].Message.Seq
	}
	t.Logf("a read takes %s", fastest)
	if fastest > 5*time.Millisecond {
		t.Errorf("a read takes %s", fastest)
	}
}

func TestWhatWaitsForItsKeyIsFreed(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	if _, err := s.pool.Exec(t.Context(), `insert into relay.outbox (topic, key, status) select n::text, 'k', 'open' from generate_series(1, 6) n;
		insert into relay.delivery (message_id, subscription, target, status, reason, next_attempt_at, circuit, shard, key, seq, due_at)
			select id, 'sub', 'x', (case when topic = '1' then 'push_failed' else 'waiting' end)::relay.delivery_status,
				case when topic = '6' then 'paused' when topic <> '1' then 'key_blocked' end,
				case when topic = '1' then now() + interval '1 hour' end, 'c', shard, key, seq, now() from relay.outbox`); err != nil {
		t.Fatal(err)
	}
	line := []Line{{Subscription: "sub", Key: "k"}, {Subscription: "other", Key: "k"}}
	for _, want := range []int64{3, 1, 0} {
		if n, err := s.FreeLines(t.Context(), line, 3); err != nil || n != want {
			t.Errorf("%d are freed, want %d: %v", n, want, err)
		}
	}
	var due int
	if err := db.Admin(t).QueryRow(t.Context(), "select count(*) from relay.delivery where status = 'waiting' and reason is null and next_attempt_at <= now()").Scan(&due); err != nil || due != 4 {
		t.Errorf("%d are due, want 4: %v", due, err)
	}
}

func TestAHeadKnowsOfADelayedMessageBeforeIt(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	if _, err := s.pool.Exec(t.Context(), `insert into relay.outbox (topic, key, deliver_at) values ('1', 'due', now()), ('1', 'later', now() + interval '1 hour');
		insert into relay.outbox (topic, key, status) values ('2', 'due', 'open'), ('2', 'later', 'open');
		insert into relay.outbox (topic, key, deliver_at) values ('3', 'later', now());
		insert into relay.delivery (message_id, subscription, target, status, reason, circuit, shard, key, seq, due_at)
			select id, 'sub', 'x', 'waiting', 'key_blocked', 'c', shard, key, seq, now() from relay.outbox where topic = '2'`); err != nil {
		t.Fatal(err)
	}
	heads, err := s.LineHeads(t.Context(), []Line{{Subscription: "sub", Key: "due"}, {Subscription: "sub", Key: "later"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	// Message 3 is behind the head of its key; that is known once it is an ordinary one.
	if len(heads) != 2 || !heads[0].Earlier || !heads[1].Earlier {
		t.Errorf("heads %+v", heads)
	}
	releaseAll(t, s, 2)
	heads, err = s.LineHeads(t.Context(), []Line{{Subscription: "sub", Key: "due"}, {Subscription: "sub", Key: "later"}}, 1)
	if err != nil || len(heads) != 2 || !heads[0].Earlier || heads[1].Earlier {
		t.Errorf("heads %+v: %v", heads, err)
	}
}
