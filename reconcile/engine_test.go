package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"relay"
	"relay/sql"
	"relay/test/harness"
)

// Messages come by ring, by sweep and by their time, with a key and without, and fail first.
func TestMessagesComeToTheirEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.subscribe("a.b")
	var failed atomic.Int32
	b.lanes.answers(func(d *relay.Delivery) relay.Outcome {
		if strings.HasPrefix(d.Message.Topic, "a.fails") && failed.Add(1) <= 2 {
			return relay.Outcome{Class: relay.ClassPushFailed, Error: "refused", Cause: relay.CauseRefused}
		}
		return relay.Outcome{Class: relay.ClassHandled}
	})
	var ids []relay.ID
	for i := range 20 {
		ids = append(ids, b.send("a.b", []string{"", "k1", "k2"}[i%3]))
	}
	failing := b.send("a.fails", "k3")
	behind := b.send("a", "k3")
	none := b.send("nowhere", "")
	b.exec("insert into relay.outbox (topic, key) values ('a', null), ('b', 'k1'), ('b', 'k4')")
	b.exec("insert into relay.outbox (topic, key, deliver_at) values ('a', null, now() + interval '300 ms'), ('b', 'k1', now() + interval '300 ms')")
	b.engine.Ring([]relay.Ring{{ID: relay.NewID(), DeliverAt: time.Now().Add(time.Hour)}, {ID: relay.NewID(), Xid: 1}, {ID: relay.NewID(), Key: "k1", Xid: 1}})
	b.wait(none, relay.MessageRejected)
	for _, id := range append(ids, failing, behind) {
		b.wait(id, relay.MessageDone)
	}
	harness.Eventually(t, 30*time.Second, "all have ended", func() bool {
		return b.text("select count(*)::text from relay.outbox where status in ('pending', 'open')") == "0"
	})
	var keyed []relay.ID
	for _, id := range b.lanes.order() {
		if slices.Contains(ids, id) && ids[1] != id && (slices.Index(ids, id)%3) == 1 {
			keyed = append(keyed, id)
		}
	}
	last := make(map[relay.ID]int)
	for i, id := range keyed {
		last[id] = i
	}
	for i := 4; i+3 < 20; i += 3 {
		if last[ids[i]] > last[ids[i+3]] {
			t.Errorf("message %d was sent after message %d of its key", i, i+3)
		}
	}
	if order := b.lanes.order(); slices.Index(order, behind) < slices.Index(order, failing) {
		t.Error("the message behind one that failed was sent before it")
	}
	if status := b.engine.Status(); status.Shards != relay.Shards || status.Relays != 1 {
		t.Errorf("status %+v", status)
	}
	if !b.engine.MayAttempt(5) || !b.engine.HoldsSlot() || b.engine.Crowded("a") {
		t.Error("the engine may not send")
	}
	if err := b.end(); err != nil {
		t.Error(err)
	}
	if b.text("select count(*)::text from relay.lease where owner is not null") != "0" {
		t.Error("leases are left")
	}
}

// A session holds a row, a trigger refuses another one: their outcomes are written when that has passed, the message
// is not sent again, and others go on.
func TestRowsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.subscribe("a.b")
	b.exec(`create function refuse() returns trigger language plpgsql as $$ begin
		if new.subscription = 'b' and new.attempts > 0 then raise exception using errcode = '42P01', message = 'no such table'; end if; return new; end $$;
		create trigger refuse before insert or update on relay.delivery for each row execute function refuse()`)
	hold, err := b.db.Admin(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	released := make(chan struct{})
	b.lanes.answers(func(d *relay.Delivery) relay.Outcome {
		if d.Message.Topic == "a.held" {
			<-released
		}
		return relay.Outcome{Class: relay.ClassHandled}
	})
	locked := b.send("a.held", "")
	if _, err := hold.Exec(t.Context(), "select from relay.outbox where id = $1 for update", [16]byte(locked)); err != nil {
		t.Fatal(err)
	}
	close(released)
	refused := b.send("b", "")
	for range 5 {
		b.wait(b.send("a", ""), relay.MessageDone)
	}
	harness.Eventually(t, 20*time.Second, "people are told of both", func() bool {
		return b.text("select count(distinct operation || message_id)::text from relay.quarantine where operation = 'write_outcome'") == "2"
	})
	if err := hold.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wait(locked, relay.MessageDone)
	b.exec("drop trigger refuse on relay.delivery")
	b.wait(refused, relay.MessageDone)
	for id, n := range count(b.lanes.order()) {
		if n != 1 {
			t.Errorf("message %s was sent %d times", id, n)
		}
	}
	harness.Eventually(t, 20*time.Second, "nobody is told of them any more", func() bool {
		return b.text("select count(*)::text from relay.quarantine") == "0" && b.engine.Status().Quarantined == 0
	})
}

func count(ids []relay.ID) map[relay.ID]int {
	n := make(map[relay.ID]int)
	for _, id := range ids {
		n[id]++
	}
	return n
}

// What the database refuses for its values is written with less, at last as a rejected message.
func TestOutcomesAreReduced(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.subscribe("a")
	b.exec(`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'never'; end $$;
		create trigger refuse before insert on relay.attempt for each row execute function refuse()`)
	id := b.send("a", "")
	b.wait(id, relay.MessageDone)
	if text := b.text("select coalesce(last_error, '') from relay.delivery where message_id = $1", [16]byte(id)); !strings.Contains(text, "could not be stored in full") {
		t.Errorf("the delivery says %q", text)
	}
	b.exec(`create trigger refuse before insert on relay.delivery for each row execute function refuse()`)
	id = b.send("a", "k")
	b.wait(id, relay.MessageRejected)
	if text := b.text("select last_error from relay.outbox where id = $1", [16]byte(id)); !strings.Contains(text, "could not be stored in full") {
		t.Errorf("the message says %q", text)
	}
}

// What is parked goes on when its destination has room; what finds none at a healthy one waits in memory.
func TestWhatWaitsForItsDestination(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.subscribe("a.b")
	b.lanes.setRoom(0)
	var full, open atomic.Bool
	full.Store(true)
	open.Store(true)
	b.lanes.answers(func(d *relay.Delivery) relay.Outcome {
		switch {
		case d.Subscriber.Name == "a" && open.Load():
			return relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonCircuitOpen}
		case d.Subscriber.Name == "b" && full.Load():
			return relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonFull, Pace: 1000}
		}
		return relay.Outcome{Class: relay.ClassHandled}
	})
	parked, keyed, inMemory := b.send("a", ""), b.send("a", "k"), b.send("b", "")
	behind := b.send("a", "k")
	b.waitDelivery(parked, "a waiting circuit_open")
	b.waitDelivery(keyed, "a waiting circuit_open")
	b.waitDelivery(behind, "a waiting key_blocked")
	if got := b.text("select status::text from relay.outbox where id = $1", [16]byte(inMemory)); got != "pending" {
		t.Errorf("the one that waits in memory is %s", got)
	}
	b.exec("update relay.subscription set paused = true where name = 'a'")
	harness.Eventually(t, 10*time.Second, "the pause is known", func() bool {
		b.routes.mu.Lock()
		defer b.routes.mu.Unlock()
		return b.routes.all["a"].Paused
	})
	paused := b.send("a", "")
	b.waitDelivery(paused, "a waiting paused")
	b.lanes.setRoom(10)
	full.Store(false)
	open.Store(false)
	b.lanes.wake <- struct{}{}
	b.wait(inMemory, relay.MessageDone)
	b.exec("update relay.subscription set paused = false")
	for _, id := range []relay.ID{parked, keyed, behind, paused} {
		b.wait(id, relay.MessageDone)
	}
}

// A message of a broadcast is spread over its instances, in memory and in the table; one instance vanishes.
func TestBroadcastIsSpread(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) {
		c.Gone = func(_ context.Context, d *relay.Delivery) bool { return d.Instance == "127.0.0.2:9" }
		c.Policy.GiveUpAfter, c.Policy.MaxAttempts = 2*time.Second, 1000
	})
	b.subscribe("a", "broadcast", "true")
	var down atomic.Bool
	down.Store(true)
	b.lanes.answers(func(d *relay.Delivery) relay.Outcome {
		switch {
		case d.Instance == "" && d.Message.Key == "k" && down.Load():
			return relay.Outcome{Class: relay.ClassPushFailed, Error: "no such host"}
		case d.Instance == "":
			return relay.Outcome{Class: relay.ClassResolved, Instances: []string{"127.0.0.1:9", "127.0.0.2:9"}}
		case d.Instance == "127.0.0.2:9":
			return relay.Outcome{Class: relay.ClassPushFailed, Error: "away"}
		}
		return relay.Outcome{Class: relay.ClassHandled}
	})
	inMemory, inTable := b.send("a", ""), b.send("a", "k")
	b.waitDelivery(inTable, "a push_failed")
	down.Store(false)
	for _, id := range []relay.ID{inMemory, inTable} {
		b.wait(id, relay.MessageDone)
		b.waitDelivery(id, "a 127.0.0.1:9 handled, a 127.0.0.2:9 cancelled")
	}
}

// Consumers acknowledge: that the work failed, and that it succeeded, before and after the outcome is written.
func TestAcknowledgementsAreApplied(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.subscribe("a", "ack", "'consumer'")
	b.lanes.answers(func(d *relay.Delivery) relay.Outcome { return relay.Outcome{Class: relay.ClassAwaitingAck} })
	id := b.send("a", "k")
	b.waitDelivery(id, "a awaiting_ack")
	say := func(attempt int, body string, want relay.AckResult) {
		t.Helper()
		token := b.engine.config.AckKey.Token(relay.AckSubject{Message: id, Subscriber: relay.AckSubscriberOf("a", ""), Attempt: attempt})
		if got, err := b.engine.Acknowledge(t.Context(), token, []byte(body)); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", body, got, err, want)
		}
	}
	say(1, `{"outcome":"failed","error":"no stock"}`, relay.AckFailed)
	harness.Eventually(t, 20*time.Second, "it is sent again", func() bool { return len(b.lanes.order()) == 2 })
	b.waitDelivery(id, "a awaiting_ack")
	say(2, `{"outcome":"handled"}`, relay.AckHandled)
	b.wait(id, relay.MessageDone)
	say(2, `nonsense`, relay.AckBadBody)
	if got, err := b.engine.Acknowledge(t.Context(), "nonsense", nil); err != nil || got != relay.AckMalformed {
		t.Errorf("a malformed token: %s, %v", got, err)
	}
}

// A relay died after a consumer had handled a message and before it could write that it was sent: it is not sent again.
func TestWhatIsHandledIsNotSentAgainAfterACrash(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Ringing = func() bool { return true } })
	b.subscribe("a.b", "ack", "'consumer'")
	b.lanes.answers(func(d *relay.Delivery) relay.Outcome { return relay.Outcome{Class: relay.ClassAwaitingAck} })
	var ids []relay.ID
	for _, key := range []string{"", "k"} {
		id := relay.NewID()
		subscriber := relay.AckSubscriberOf("a", "")
		// Both at once: a sweep may look at any time.
		b.exec(`with message as (insert into relay.outbox (id, topic, key) values ($1, 'a.b', nullif($2, '')) returning id, shard)
			insert into relay.ack (message_id, subscriber, shard, attempt, handled, retry, error) select id, $3, shard, 1, true, false, '' from message`,
			[16]byte(id), key, subscriber[:])
		ids = append(ids, id)
	}
	b.engine.Changed(1, ids)
	for _, id := range ids {
		b.waitDelivery(id, "a handled, b awaiting_ack")
	}
	if n := len(b.lanes.order()); n != 2 {
		t.Errorf("%d attempts were made, want one for each message at b", n)
	}
}

// Hints name messages that a session has changed, or nothing.
func TestHintsAreFollowed(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Ringing = func() bool { return true } })
	b.subscribe("a")
	insert := func(key string, delay time.Duration) (id relay.ID) {
		t.Helper()
		id = relay.NewID()
		b.exec("insert into relay.outbox (id, topic, key, deliver_at) values ($1, 'a', nullif($2, ''), now() + $3)", [16]byte(id), key, delay)
		return id
	}
	ids := []relay.ID{insert("", 0), insert("k", 0), insert("", 500*time.Millisecond)}
	b.engine.Changed(1, append(ids, relay.NewID()))
	for _, id := range ids {
		b.wait(id, relay.MessageDone)
	}
	last := insert("", 0)
	b.engine.Changed(1, nil)
	b.wait(last, relay.MessageDone)
	missed := insert("k", 0)
	Notified{b.engine}.Missed()
	b.wait(missed, relay.MessageDone)
	b.engine.Missed()
}

// A row that cannot be read waits alone, and what is deleted early is told.
func TestRowsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.subscribe("a")
	gone := relay.Ring{ID: relay.NewID(), Xid: 3}
	goneKeyed := relay.Ring{ID: relay.NewID(), Key: "k", Seq: 1, Xid: 3}
	b.engine.Ring([]relay.Ring{gone, goneKeyed})
	harness.Eventually(t, 20*time.Second, "people are told", func() bool {
		return b.text("select count(*)::text from relay.quarantine where operation = 'deleted'") == "1"
	})
	large := relay.NewID()
	b.exec("insert into relay.outbox (id, topic, payload) values ($1, 'a', to_jsonb(repeat('x', 2000000)))", [16]byte(large))
	b.wait(large, relay.MessageRejected)
	keyed := relay.NewID()
	b.exec("insert into relay.outbox (id, topic, key, payload) values ($1, 'a', 'k', to_jsonb(repeat('x', 2000000)))", [16]byte(keyed))
	b.wait(keyed, relay.MessageRejected)
	b.wait(b.send("a", "k"), relay.MessageDone)
}

// What the database cannot read, of a damaged disk for example, stands in quarantine by itself.
func TestDamagedRows(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.subscribe("a")
	b.exec("create extension pg_surgery")
	toast := b.text("select reltoastrelid::regclass::text from pg_class where oid = 'relay.outbox'::regclass")
	for _, key := range []string{"", "k"} {
		b.exec(`insert into relay.outbox (topic, key, deliver_at, content_type, payload)
			select 'a', nullif($1, ''), now() + interval '2 seconds', 'text/plain', string_agg(md5(random()::text), '') from generate_series(1, 600)`, key)
		b.exec(fmt.Sprintf("select heap_force_kill('%[1]s'::regclass, array[(select max(ctid) from %[1]s where chunk_seq = 1)])", toast))
	}
	b.exec("insert into relay.outbox (topic, deliver_at) select 'a', now() + interval '2 seconds' from generate_series(1, 20)")
	harness.Eventually(t, 20*time.Second, "people are told of both", func() bool {
		return b.text("select count(*)::text from relay.quarantine where operation = 'read' and error like '%XX001%'") == "2"
	})
	harness.Eventually(t, 20*time.Second, "all others are done", func() bool {
		return b.text("select count(*)::text from relay.outbox where status = 'done'") == "20"
	})
}

// A relay that stops writes what is under way, and says what it could not write.
func TestAStopWithoutADatabase(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Grace = time.Second })
	b.subscribe("a")
	b.wait(b.send("a", ""), relay.MessageDone)
	b.exec(`create function refuse() returns trigger language plpgsql as $$ begin raise exception using errcode = '42P01'; end $$;
		create trigger refuse before insert on relay.delivery for each row execute function refuse()`)
	b.send("a", "")
	harness.Eventually(t, 10*time.Second, "it is sent", func() bool { return len(b.lanes.order()) == 2 })
	if err := b.end(); err == nil || !strings.Contains(err.Error(), "could not be written in time") {
		t.Errorf("it ends with %v", err)
	}
}

// What is being read, or is to be read, when a relay stops keeps no shard from the others while an attempt runs on.
func TestAStopGivesUpWhatIsBeingRead(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Grace = time.Minute })
	b.subscribe("a")
	underWay, release := make(chan struct{}), make(chan struct{})
	b.lanes.answers(func(*relay.Delivery) relay.Outcome {
		close(underWay)
		<-release
		return relay.Outcome{Class: relay.ClassHandled}
	})
	defer close(release)
	b.send("a", "")
	<-underWay
	hold, err := b.db.Admin(t).Begin(t.Context())
	if err == nil {
		_, err = hold.Exec(t.Context(), "lock table relay.outbox in access exclusive mode")
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // one after another, so that both readers wait for the lock while others are still to be read
		b.engine.Ring([]relay.Ring{{ID: relay.NewID(), Xid: 1}})
		time.Sleep(10 * time.Millisecond)
	}
	b.stop()
	time.Sleep(100 * time.Millisecond) // the intake ends, whose readers the lock must not set free before
	if err := hold.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 10*time.Second, "it keeps only the shard of what is under way", func() bool {
		return b.text("select count(*)::text from relay.lease where owner is not null") == "1"
	})
}

// A second relay takes its share, and gives it back.
func TestShardsMove(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.subscribe("a")
	harness.Eventually(t, 10*time.Second, "it owns all", func() bool { return b.engine.Status().Shards == relay.Shards })
	other, watch := sql.Instance{ID: relay.NewID(), Name: "other"}, new(sql.Watch)
	renew := func() (n int) {
		lease, _, err := b.store.Renew(t.Context(), other, 3*time.Second, true, watch)
		if err != nil {
			t.Fatal(err)
		}
		return len(lease.Epochs)
	}
	harness.Eventually(t, 20*time.Second, "the other one has half", func() bool { return renew() == relay.Shards/2 })
	harness.Eventually(t, 20*time.Second, "it knows", func() bool { renew(); return b.engine.Status().Shards == relay.Shards/2 })
	var all []int16
	for shard := range int16(relay.Shards) {
		all = append(all, shard)
	}
	if err := b.store.GiveUp(t.Context(), other.ID, all); err != nil {
		t.Fatal(err)
	}
	if err := b.store.Release(t.Context(), other.ID); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, "it owns all again", func() bool { return b.engine.Status().Shards == relay.Shards })
	for i := range 10 {
		b.wait(b.send("a", fmt.Sprint("k", i)), relay.MessageDone)
	}
}
