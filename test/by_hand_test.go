package test

import (
	"testing"
	"time"

	"relay/test/harness"
)

// What a person sets back by SQL is sent soon, although no sweep and no due time comes for an hour. The server may
// apply triggers of replicas alone in that session.
func TestWhatIsSetBackByHandIsSentSoon(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]string{
		"message":            "update relay.outbox set status = 'pending', finished_at = null",
		"delayed message":    "update relay.outbox set deliver_at = now() - interval '1 minute' where topic = 'later'",
		"time of a delivery": "update relay.delivery set next_attempt_at = now()",
		"delivery":           "update relay.delivery set status = 'waiting', next_attempt_at = now()",
		"as a replica":       "set session_replication_role = replica; update relay.delivery set next_attempt_at = now()",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint, works := switched(t)
			s := newSystem(t, "RELAY_DEFAULT_DESTINATION="+endpoint.URL, "RELAY_RECONCILE=0-63 every 1h", "RELAY_BACKOFF=1h")
			s.relay.says("stream: ok", "streaming")
			var id string
			if name == "delayed message" {
				id = s.send(t, "topic, deliver_at", "'later', now() + interval '1 hour'")
			} else {
				id = s.send(t, "topic", "'t'")
				harness.Eventually(t, 20*time.Second, "it fails", func() bool {
					return s.text(t, "select status::text from relay.delivery") == "handle_failed"
				})
			}
			if name == "message" {
				s.exec(t, "update relay.outbox set status = 'cancelled', finished_at = now(), outstanding = 0; delete from relay.delivery")
			}
			works.Store(true)
			s.exec(t, back)
			s.waitStatus(t, id, "done")
		})
	}
}
