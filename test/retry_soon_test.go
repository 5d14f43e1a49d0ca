package test

import (
	"testing"
	"time"

	"relay/test/harness"
)

// What a person sends again goes at once, whichever relay owns it: no sweep is near.
func TestARetryByHandGoesAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		relays int
		env    []string
	}{
		"stream":     {1, nil},
		"two relays": {2, nil},
		"notify":     {2, []string{"RELAY_CAPTURE=notify"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := append([]string{"RELAY_RECONCILE=0-63 every 1h", "RELAY_MAX_ATTEMPTS=1"}, c.env...)
			s := newSystem(t, env...)
			endpoint, works := switched(t)
			s.exec(t, "insert into relay.subscription (name, topics, target) values ('sub', '{#}', $1)", endpoint.URL)
			if c.relays == 2 {
				second := start(t, s.db, append(env, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)...)
				harness.Eventually(t, 30*time.Second, "both own shards", func() bool { return s.relay.owned() == 32 && second.owned() == 32 })
			}
			var ids []string
			for range 4 {
				ids = append(ids, s.send(t, "topic", "'t'"), s.send(t, "topic, key", "'t', gen_random_uuid()::text"))
			}
			for _, id := range ids {
				s.waitStatus(t, id, "dead")
			}
			works.Store(true)
			for i, id := range ids {
				s.cli(t, "messages", "retry", id)
				harness.Eventually(t, soon, "it is sent", func() bool { return endpoint.distinct() == i+1 })
			}
			s.cli(t, "messages", "retry", "--status=done", "--force", "--yes", "--wait")
			harness.Eventually(t, 2*soon, "what a job releases is sent", func() bool { return endpoint.duplicates() == len(ids) })
			s.settled(t, 20*time.Second)
		})
	}
}
