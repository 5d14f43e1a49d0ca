package sql

import (
	"fmt"
	"testing"

	"relay"
)

func TestADelayedMessageIsReadInItsPlaceOnceItIsDue(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	const k = "k"
	if _, err := s.pool.Exec(t.Context(), `insert into relay.outbox (topic, key, deliver_at) values
		('1', $1, null), ('2', $1, now() + interval '1 hour'), ('3', $1, now() - interval '1 hour'), ('4', $1, null),
		('5', $1, now() - interval '2 hours'), ('6', $1, '-infinity'), ('7', $1, 'infinity'), ('8', 'other', now()), ('9', $1, null)`, k); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		key  Key
		want string
	}{
		{Key{Most: 10}, "[1 3 4 5 6 9]"},
		{Key{Most: 4}, "[1 3 4 5]"},
		{Key{Most: 10, After: 4}, "[3 5 6 9]"},
		{Key{Most: 10, After: 9}, "[3 5]"},
		{Key{Most: 10, After: 4, Taken: []int64{3}}, "[5 6 9]"},
	} {
		one.key.Key, one.key.Shard = k, relay.ShardOf(relay.ID{}, k)
		rows, err := s.ReadKeys(t.Context(), []Key{one.key}, Limits{MaxPayload: 1000, Budget: 1000})
		if err != nil {
			t.Fatal(err)
		}
		topics := []string{}
		for _, row := range rows[0] {
			topics = append(topics, row.Message.Topic)
		}
		if got := fmt.Sprint(topics); got != one.want {
			t.Errorf("after %d, at most %d, without %v: %s, want %s", one.key.After, one.key.Most, one.key.Taken, got, one.want)
		}
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
	if len(heads) != 2 || !heads[0].Earlier || heads[1].Earlier {
		t.Errorf("heads %+v", heads)
	}
}
