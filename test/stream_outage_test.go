package test

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"relay/test/harness"
)

// The relay outlives whatever keeps it from having a stream: it delivers by sweeps, says
// why and what mends it, and streams again when that is done. Nothing of it makes a
// duplicate.

func TestTheServerCannotGiveAStreamYet(t *testing.T) {
	t.Parallel()
	s := newOwnSystem(t, map[string]string{"wal_level": "replica", "max_replication_slots": "1"})
	tr := newTraffic(t, s, 2, 5*time.Millisecond)
	s.deliversWithoutStream(t, "wal_level is replica", "alter system set wal_level = logical, then restart the server")
	s.exec(t, "alter system set wal_level = logical")
	s.exec(t, "select pg_create_physical_replication_slot('other')")
	restarted := time.Now()
	s.restart(t, "fast")
	tr.interrupted("restart", restarted)
	s.deliversWithoutStream(t, "all 1 replication slots are in use", "drop one that is no longer needed")
	open := holdTransaction(t, s.db)
	pid := open.Conn().PgConn().PID()
	s.exec(t, "select pg_drop_replication_slot('other')")
	s.deliversWithoutStream(t, fmt.Sprintf("waits for the open transaction of pid %d (app", pid), fmt.Sprintf("select pg_terminate_backend(%d)", pid))
	if err := open.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.relay.waitReady()
	tr.verify(t, s, time.Minute)
}

func TestTheStreamIsTakenFromTheRelay(t *testing.T) {
	t.Parallel()
	s := newOwnSystem(t, map[string]string{"max_wal_senders": "1"})
	s.relay.waitReady()
	tr := newTraffic(t, s, 2, 5*time.Millisecond)
	const endStream = "select pg_terminate_backend(active_pid) from pg_replication_slots where active"
	s.exec(t, "alter role relay noreplication")
	s.exec(t, endStream)
	s.deliversWithoutStream(t, `role "relay" has no replication right`, `alter role "relay" replication`)

	other := s.walsender(t)
	s.exec(t, "alter role relay replication")
	s.deliversWithoutStream(t, "no WAL sender or connection is free (max_wal_senders is 1)", "alter system set max_wal_senders = 10")

	// A superuser's walsender is not the relay's to end.
	err := pglogrepl.StartReplication(t.Context(), other, s.db.Name, 0, pglogrepl.StartReplicationOptions{
		Mode: pglogrepl.LogicalReplication, PluginArgs: []string{"proto_version '1'", "publication_names 'relay'"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.deliversWithoutStream(t, fmt.Sprintf("slot %q is held by pid %d (postgres", s.db.Name, other.PID()), "select pg_terminate_backend")
	other.Close(t.Context())
	s.relay.waitReady()
	tr.verify(t, s, time.Minute)
	if n := s.relay.metric("relay_cdc_slots_made_total"); n != 1 {
		t.Errorf("%v slots were made, want 1", n)
	}
}

// An open transaction lets the limit of WAL be reached although the relay is caught up.
func TestTheSlotIsLost(t *testing.T) {
	t.Parallel()
	s := newOwnSystem(t, map[string]string{"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"})
	s.relay.waitReady()
	tr := newTraffic(t, s, 2, 5*time.Millisecond)
	open := holdTransaction(t, s.db)
	s.delivers(t, 40)
	harness.Eventually(t, 40*time.Second, "the slot is lost", func() bool {
		s.exec(t, "select pg_logical_emit_message(true, '', ''), pg_switch_wal()")
		s.exec(t, "checkpoint")
		return s.relay.metric("relay_cdc_stream_up") == 0
	})
	s.deliversWithoutStream(t, "waits for the open transaction of pid", "pg_terminate_backend")
	if err := open.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.relay.waitReady()
	s.delivers(t, 40)
	tr.verify(t, s, time.Minute)
}

// A publication that was changed makes the stream silent without any error. The relay
// looks every few seconds, and repairs it.
func TestThePublicationIsChanged(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	tr := newTraffic(t, s, 2, 5*time.Millisecond)
	for _, change := range []string{
		"alter publication relay set table relay.outbox where (key is not null)",
		"alter publication relay drop table relay.outbox",
		"drop publication relay",
	} {
		s.delivers(t, 40)
		s.streamsAnew(t, change)
	}
	s.delivers(t, 40)
	tr.verify(t, s, time.Minute)
}

// streamsAnew runs a statement and waits until the relay has begun to stream again.
func (s *system) streamsAnew(t testing.TB, statement string) {
	t.Helper()
	sessions := s.relay.metric("relay_cdc_sessions_total")
	s.exec(t, statement)
	harness.Eventually(t, 40*time.Second, "the relay streams anew after "+statement, func() bool {
		return s.relay.metric("relay_cdc_sessions_total") > sessions && s.relay.metric("relay_cdc_stream_up") == 1
	})
}

func TestTheTableIsMadeAnew(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.waitStatus(t, s.send(t, "topic", "'before'"), "done")
	s.streamsAnew(t, `
		alter table relay.outbox rename to outbox_of_before;
		create table relay.outbox (like relay.outbox_of_before including all);
		alter table relay.outbox owner to relay;
		grant insert, select on relay.outbox to app;
		insert into relay.outbox (topic) values ('before the stream')`)
	for range 20 {
		s.send(t, "topic", "'after'")
	}
	harness.Eventually(t, 20*time.Second, "all arrive", func() bool { return s.receiver.distinct() == 22 })
	s.settled(t, 20*time.Second)
	if d := s.receiver.duplicates(); d != 0 {
		t.Errorf("%d duplicates", d)
	}
}

// Half-open connections say nothing and never will. The relay finds out by itself, and
// neither delivers nothing nor twice meanwhile.
func TestHalfOpenConnectionsToPostgreSQLAreFound(t *testing.T) {
	t.Parallel()
	s := &system{db: migrated.Database(t), receiver: newReceiver(t, nil)}
	s.app, s.admin = s.db.App(t), s.db.Admin(t)
	way := newProxy(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.db.Server.Port())))
	s.relay = start(t, s.db, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL, "RELAY_DATABASE_URL="+way.through(t, s.db.URL))
	tr := newTraffic(t, s, 2, 5*time.Millisecond)
	s.delivers(t, 100)
	lost := time.Now()
	way.lose()
	sessions := s.relay.metric("relay_cdc_sessions_total")
	harness.Eventually(t, 60*time.Second, "the relay streams anew", func() bool {
		return s.relay.metric("relay_cdc_sessions_total") > sessions && s.relay.metric("relay_cdc_stream_up") == 1
	})
	t.Logf("streams anew after %s", time.Since(lost))
	s.delivers(t, 100)
	tr.interrupted("half open", lost)
	tr.verify(t, s, time.Minute)
}

// The relay that holds the slot swept when it had a stream again, and the others, which hear
// of rows by it alone, only in their own time.
func TestANewSlotHasAllRelaysSweep(t *testing.T) {
	t.Parallel()
	const rarely = "RELAY_RECONCILE=0-63 every 1h"
	s := newOwnSystem(t, nil, rarely)
	second := start(t, s.db, rarely, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	harness.Eventually(t, 30*time.Second, "they share", func() bool { return s.relay.owned() == 32 && second.owned() == 32 })
	s.exec(t, "alter role relay noreplication")
	s.exec(t, "select pg_terminate_backend(active_pid, 10000) from pg_replication_slots where active")
	s.exec(t, "select pg_drop_replication_slot($1)", s.db.Name)
	s.exec(t, "insert into relay.outbox (topic) select 't' from generate_series(1, 200)")
	s.exec(t, "alter role relay replication")
	harness.Eventually(t, 40*time.Second, "what came without a slot arrives", func() bool { return s.receiver.distinct() == 200 })
}
