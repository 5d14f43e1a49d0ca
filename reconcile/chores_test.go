package reconcile

import (
	"fmt"
	"testing"
	"time"

	"relay"
	"relay/sql"
	"relay/test/harness"
)

// A job retries what is dead, one message after the other where one cannot be changed.
func TestJobsAreDone(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Policy.MaxAttempts = 1 })
	b.subscribe("a")
	b.lanes.answers(func(*relay.Delivery) relay.Outcome { return relay.Outcome{Class: relay.ClassDead, Error: "gone"} })
	var ids []relay.ID
	for i := range 6 {
		ids = append(ids, b.send("a", []string{"", "k"}[i%2]))
		b.wait(ids[i], relay.MessageDead)
	}
	b.lanes.answers(nil)
	b.exec(`create function refuse() returns trigger language plpgsql as $$ begin
		if old.seq = (select min(seq) from relay.outbox) and new.status <> old.status then raise exception 'never'; end if; return new; end $$;
		create trigger refuse before update on relay.outbox for each row execute function refuse()`)
	start := func(rate float64) {
		t.Helper()
		job, err := b.store.PlanJob(t.Context(), sql.JobRetry, sql.MessageFilter{Status: sql.Statuses{relay.MessageDead}}, rate, time.Second)
		if err == nil {
			_, err = b.store.StartJob(t.Context(), &job, 0, sql.Once{})
		}
		if err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, 30*time.Second, "the job has ended", func() bool {
			return b.text("select count(*)::text from relay.job where status = 'running'") == "0"
		})
	}
	start(1000)
	for _, id := range ids[1:] {
		b.wait(id, relay.MessageDone)
	}
	b.exec("drop trigger refuse on relay.outbox")
	start(0)
	b.wait(ids[0], relay.MessageDone)
}

// What has been due for too long ends, although it waits for a destination that is away; what waits behind it goes.
func TestWhatIsOverdueIsGivenUp(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Policy.GiveUpAfter = time.Second })
	b.subscribe("a")
	b.lanes.setRoom(0)
	b.lanes.answers(func(*relay.Delivery) relay.Outcome {
		return relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonCircuitOpen}
	})
	head, plain := b.send("a", "k"), b.send("a", "")
	b.waitDelivery(head, "a waiting circuit_open")
	b.waitDelivery(plain, "a waiting circuit_open")
	// One may be overdue, and end, before the other is.
	harness.Eventually(t, 20*time.Second, "both are given up", func() bool {
		if err := b.engine.overdue.giveUpAll(t.Context()); err != nil {
			t.Error(err)
		}
		return b.text("select count(*)::text from relay.outbox where status = 'dead'") == "2"
	})
	b.wait(head, relay.MessageDead)
	b.wait(plain, relay.MessageDead)
}

// What was rejected for want of a route is taken up when it has one; acknowledgements of what has ended are dropped; a
// delivery whose message a person has ended by SQL ends, too.
func TestWhatPeopleChange(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.subscribe("a")
	lost := b.send("later", "")
	b.wait(lost, relay.MessageRejected)
	b.subscribe("later")
	b.wait(lost, relay.MessageDone)
	b.exec("insert into relay.ack (message_id, subscriber, attempt, handled, retry, error, shard) select id, decode(repeat('0f', 16), 'hex'), 1, true, false, '', shard from relay.outbox where id = $1", [16]byte(lost))
	harness.Eventually(t, 20*time.Second, "the acknowledgement is dropped", func() bool {
		b.engine.acks.findAcks(t.Context())
		return b.text("select count(*)::text from relay.ack") == "0"
	})
	b.lanes.answers(func(*relay.Delivery) relay.Outcome {
		return relay.Outcome{Class: relay.ClassPushFailed, Error: "away", RetryAfter: 2 * time.Second}
	})
	id := b.send("a", "k")
	b.waitDelivery(id, "a push_failed")
	b.exec("update relay.outbox set status = 'cancelled', finished_at = now() where id = $1", [16]byte(id))
	b.waitDelivery(id, "a cancelled")
}

// More rows than a batch are due at one moment.
func TestManyAreDueAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.subscribe("a")
	b.exec(fmt.Sprintf("insert into relay.outbox (topic, deliver_at) select 'a', now() + interval '1 second' from generate_series(1, %d)", 2*dueBatch+10))
	harness.Eventually(t, 60*time.Second, "all have ended", func() bool {
		return b.text("select count(*)::text from relay.outbox where status <> 'done'") == "0"
	})
}

// Rows of another relay's shards are told to it, once SQL shows them.
func TestOtherRelaysAreTold(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.subscribe("a")
	harness.Eventually(t, 10*time.Second, "it owns all", func() bool { return b.engine.Status().Shards == relay.Shards })
	conn, err := b.db.Admin(t).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), "listen relay_outbox"); err != nil {
		t.Fatal(err)
	}
	id := b.send("a", "")
	b.engine.ringer.others.Add(relay.Ring{ID: id}, relay.Ring{ID: relay.NewID(), Xid: 3})
	note, err := conn.Conn().WaitForNotification(t.Context())
	if err != nil || note.Payload != id.String() {
		t.Errorf("told %+v: %v", note, err)
	}
	b.engine.Missed()
	if note, err = conn.Conn().WaitForNotification(t.Context()); err != nil || note.Payload != "" {
		t.Errorf("told %+v: %v", note, err)
	}
}
