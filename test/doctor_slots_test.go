package test

import (
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// A slot that no session reads keeps WAL until the disk is full, whichever program made it and
// whether or not this relay streams. Applications that prepare transactions cannot use
// RELAY_CAPTURE=notify.
func TestDoctorAndRelayNameWhatWasLeftOver(t *testing.T) {
	t.Parallel()
	s := newOwnSystem(t, map[string]string{"fsync": "off", "max_prepared_transactions": "2", "min_wal_size": "32MB", "wal_init_zero": "off"})
	s.relay.waitReady()
	examine := func(env ...string) diagnosis {
		return diagnose(t, s.db.URL, append([]string{"RELAY_SLOT=" + s.db.Name, "RELAY_DEFAULT_DESTINATION=" + s.receiver.URL}, env...)...)
	}
	s.exec(t, "select pg_create_logical_replication_slot('renamed', 'pgoutput')")
	s.exec(t, "select pg_create_physical_replication_slot('abandoned', true)")
	for range 6 { // 16 MB each
		s.exec(t, "select pg_logical_emit_message(true, '', ''), pg_switch_wal()")
	}
	harness.Eventually(t, 30*time.Second, "the relay's own slot keeps little", func() bool {
		s.exec(t, "checkpoint")
		return s.text(t, "select (pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) < 1000000)::text from pg_replication_slots where slot_name = $1", s.db.Name) == "true"
	})
	d := examine()
	d.names(t, "ok", "slot", `"`+s.db.Name+`" is read by pid`, "")
	d.names(t, "warn", "slot", `no session reads "renamed" of this database`, "select pg_drop_replication_slot('renamed')")
	d.names(t, "warn", "WAL", `slot "abandoned"`, "select pg_drop_replication_slot('abandoned')")

	s.exec(t, "alter role relay noreplication")
	s.exec(t, "select pg_terminate_backend(active_pid, 10000) from pg_replication_slots where active")
	harness.Eventually(t, 20*time.Second, "doctor says what the relay knows", func() bool {
		mend := examine().find("warn", "slot", "no session reads")
		return mend != nil && *mend == `alter role "relay" replication`
	})
	s.exec(t, "alter role relay replication")
	if err := s.relay.stop(25 * time.Second); err != nil {
		t.Fatal(err)
	}

	const notify = "RELAY_CAPTURE=notify"
	d = examine(notify)
	d.names(t, "warn", "slot", `no session reads "`+s.db.Name+`" of this database`, "select pg_drop_replication_slot('"+s.db.Name+"')")
	d.names(t, "warn", "trigger", "no trigger yet", "relay run")
	second := start(t, s.db, notify, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	for _, slot := range []string{"renamed", s.db.Name} {
		harness.Eventually(t, 10*time.Second, "the relay names slot "+slot, func() bool {
			return strings.Contains(second.log.String(), "select pg_drop_replication_slot('"+slot+"')")
		})
	}
	d = examine(notify)
	d.names(t, "ok", "trigger", "has the trigger", "")
	d.names(t, "warn", "prepared", "max_prepared_transactions is 2", "RELAY_CAPTURE=stream")
	for _, slot := range []string{"renamed", "abandoned", s.db.Name} {
		s.exec(t, "select pg_drop_replication_slot($1)", slot)
	}
	examine(notify).names(t, "ok", "slot", "none is left over", "")

	s.exec(t, "alter table relay.outbox disable trigger outbox_ring")
	second.says("notify: failed: no stream: ", "is disabled", "enable always trigger outbox_ring")
	s.waitStatus(t, s.send(t, "topic", "'polled'"), "done")
	examine(notify).names(t, "fail", "trigger", "is disabled", "alter table relay.outbox enable always trigger outbox_ring")
	s.exec(t, "drop trigger outbox_ring on relay.outbox")
	examine(notify).names(t, "fail", "trigger", "although a relay runs", "start the relay again")
}
