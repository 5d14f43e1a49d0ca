package test

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"relay/test/harness"
)

// lines returns the lines of a log that say something, and nothing else of it.
func (b *logBuffer) lines(message string) (found []string) {
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, " msg="+message+" ") {
			found = append(found, line)
		}
	}
	return found
}

func TestAStopSaysWhatIsInFlightAndWhenItIsOver(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_SHUTDOWN_GRACE=15s")
	release := make(gate)
	s.receiver.answers = release.answer
	for range 3 {
		s.send(t, "topic", "'t'")
	}
	harness.Eventually(t, 20*time.Second, "three are in flight", func() bool { return len(s.receiver.requests("")) == 3 })
	s.relay.signal(syscall.SIGTERM)
	harness.Eventually(t, 10*time.Second, "it says that it stops", func() bool { return len(s.relay.log.lines("stopping")) == 1 })
	close(release)
	if <-s.relay.ended; s.relay.err != nil {
		t.Fatal(s.relay.err)
	}
	stopping, stopped := s.relay.log.lines("stopping"), s.relay.log.lines("stopped")
	if len(stopping) != 1 || !strings.Contains(stopping[0], `level=INFO msg=stopping why="stopped by SIGTERM" in_flight=3 grace=15s`) {
		t.Errorf("it says %q", stopping)
	}
	if len(stopped) != 1 || !strings.HasSuffix(s.relay.log.String(), stopped[0]) || !regexp.MustCompile(`level=INFO msg=stopped took=[0-9.]+m?s\n$`).MatchString(stopped[0]) {
		t.Errorf("it says %q at the end", stopped)
	}
	if n := s.text(t, "select count(*)::text from relay.outbox where status = 'done'"); n != "3" {
		t.Errorf("%s messages are done", n)
	}
}

// What could not be written is the error with which the process ends, and is said once.
func TestAStopSaysWhatCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_SHUTDOWN_GRACE=1s")
	release := make(gate)
	s.receiver.answers = release.answer
	s.send(t, "topic", "'t'")
	harness.Eventually(t, 20*time.Second, "it is in flight", func() bool { return len(s.receiver.requests("")) == 1 })
	tx, err := s.admin.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "lock table relay.outbox in access exclusive mode")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	close(release)
	if err := s.relay.stop(25 * time.Second); err == nil {
		t.Error("it ended as if all were well")
	}
	if log := s.relay.log.String(); strings.Count(log, "the outcomes of 1 messages could not be written in time") != 1 || len(s.relay.log.lines("stopped")) != 1 {
		t.Errorf("log:\n%s", log)
	}
}
