package test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"relay/test/harness"
)

// A message that is due at the end of time, or has been since its beginning, is a message
// like others, for the relay and for every command.
func TestInfiniteTimesBreakNoCommand(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 18} {
		db := harness.DatabaseOn(t, major)
		prepare(t, db)
		s := &system{db: db, app: db.App(t), admin: db.Admin(t), receiver: newReceiver(t, nil)}
		env := []string{"RELAY_DATABASE_URL=" + db.URL, "RELAY_DEFAULT_DESTINATION=" + s.receiver.URL, "RELAY_SLOT=" + db.Name}
		never := s.send(t, "topic, key, deliver_at", "'t', 'k', 'infinity'")
		far := s.send(t, "topic, deliver_at", "'t', '294276-12-31 23:59:59+00'")
		begun := s.send(t, "topic, deliver_at", "'t', '-infinity'")
		old := s.send(t, "topic, key, deliver_at", "'t', 'k', '4000-01-01 BC'")
		look := func() {
			for _, args := range [][]string{{"status"}, {"status", "--json"}, {"doctor"}, {"doctor", "--json"}, {"messages", "list"},
				{"messages", "list", "--json"}, {"messages", "list", "--status", "pending"}, {"messages", "list", "--key", "k", "--json"},
				{"keys", "list"}, {"keys", "list", "--json"}, {"jobs", "list"}} {
				runs(t, env, args...)
			}
			for _, id := range []string{never, far, begun, old} {
				runs(t, env, "messages", "show", id)
				runs(t, env, "messages", "show", id, "--json")
			}
		}
		if out := runs(t, env, "messages", "show", never); !strings.Contains(out, "9999-12-31 23:59:59") {
			t.Errorf("a message that is never due is shown as %s", out)
		}
		look()
		p := start(t, db, env...)
		s.waitStatus(t, begun, "done")
		s.waitStatus(t, old, "done")
		look()
		for _, id := range []string{never, begun} {
			runs(t, env, "messages", "copy", id)
		}
		runs(t, env, "messages", "retry", "--force", begun)
		runs(t, env, "messages", "retry", "--status", "done", "--force", "--yes", "--wait")
		runs(t, env, "messages", "cancel", far)
		look()
		if got := s.status(t, never); got != "pending" {
			t.Errorf("a message that is never due is %s", got)
		}
		id := s.send(t, "topic", "'t'")
		s.waitStatus(t, id, "done")
		if log := p.log.String(); strings.Contains(log, "infinit") || strings.Contains(log, "cannot scan") {
			t.Errorf("the relay says:\n%s", log)
		}
		p.kill()
	}
}

// SIGHUP, which a closed terminal sends, stops the relay in order, as SIGTERM does.
func TestSIGHUPStopsTheRelayInOrder(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.relay.signal(syscall.SIGHUP)
	select {
	case <-s.relay.ended:
	case <-time.After(time.Minute):
		t.Fatal("the relay goes on")
	}
	if log := s.relay.log.String(); s.relay.err != nil || !strings.Contains(log, "stopped by SIGHUP") || !strings.Contains(log, "msg=stopped") {
		t.Errorf("error %v\n%s", s.relay.err, log)
	}
}
