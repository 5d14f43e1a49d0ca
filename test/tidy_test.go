package test

import (
	"testing"
	"time"

	"relay/test/harness"
)

func TestWhatWasEndedByHandWithoutATimeIsRemovedToo(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_RETENTION=1s")
	s.exec(t, "insert into relay.outbox (topic, status) values ('t', 'done'), ('t', 'cancelled'), ('t', 'rejected')")
	harness.Eventually(t, 40*time.Second, "what ended well is removed", func() bool {
		return s.text(t, "select string_agg(status::text, ' ') from relay.outbox") == "rejected"
	})
}

// Every ten seconds 500 were given up: a day's messages for a destination that is gone took
// hours, in which others died anew.
func TestManyOverdueMessagesAreGivenUpAtOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec(t, "insert into relay.subscription (name, topics, target, paused) values ('sub', '{#}', $1, true)", s.receiver.URL)
	const n = "4000"
	s.exec(t, "insert into relay.outbox (topic) select 't' from generate_series(1, "+n+")")
	harness.Eventually(t, 40*time.Second, "all wait", func() bool {
		return s.text(t, "select count(*)::text from relay.delivery where status = 'waiting'") == n
	})
	s.exec(t, "update relay.outbox set created_at = now() - interval '200 hours'")
	s.exec(t, "update relay.delivery set due_at = now() - interval '200 hours'")
	begun := time.Now()
	harness.Eventually(t, 25*time.Second, "all are given up", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where status = 'dead'") == n
	})
	if took := time.Since(begun); took > 45*time.Second {
		t.Errorf("that took %s", took)
	}
}
