package test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
)

// The slot of a relay that is caught up holds WAL back while another session's transaction is
// open. The relay says so and names the session: in its metrics, on /readyz, and in the doctor's
// findings.
func TestLagIsToldInWords(t *testing.T) {
	t.Parallel()
	s := newOwnSystem(t, map[string]string{"fsync": "off", "max_prepared_transactions": "2", "min_wal_size": "32MB", "wal_init_zero": "off"})
	s.relay.waitReady()
	open := holdTransaction(t, s.db)
	pid := open.Conn().PgConn().PID()
	prepared, err := pgx.Connect(t.Context(), s.db.AppURL)
	if err != nil {
		t.Fatal(err)
	}
	defer prepared.Close(context.WithoutCancel(t.Context()))
	if _, err := prepared.Exec(t.Context(), "begin; insert into relay.outbox (topic) values ('prepared'); prepare transaction 'forgotten'"); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "select pg_create_physical_replication_slot('abandoned', true)")
	for range 6 { // 16 MB each
		s.exec(t, "select pg_logical_emit_message(true, '', ''), pg_switch_wal()")
	}
	s.exec(t, "checkpoint")
	s.waitStatus(t, s.send(t, "topic", "'t'"), "done")
	transaction, mend := fmt.Sprintf("the open transaction of pid %d (app", pid), fmt.Sprintf("select pg_terminate_backend(%d)", pid)
	s.relay.says("stream: ok: ", "confirmed lag ", "restart lag ", transaction, mend, "prepared transaction 'forgotten'", "rollback prepared 'forgotten'", `slot "abandoned"`)
	harness.Eventually(t, 30*time.Second, "the metrics tell the two apart", func() bool {
		return s.relay.metric("relay_cdc_confirmed_lag_bytes") < 1<<20 && s.relay.metric("relay_cdc_restart_lag_bytes") > 32<<20
	})
	d := diagnose(t, s.db.URL, "RELAY_SLOT="+s.db.Name, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	d.names(t, "warn", "slot", "confirmed lag", "end what holds it")
	d.names(t, "warn", "WAL", transaction, mend)
	d.names(t, "warn", "WAL", "prepared transaction 'forgotten'", "rollback prepared 'forgotten'")

	if err := open.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := prepared.Exec(t.Context(), "rollback prepared 'forgotten'"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, "sessions that have ended are no longer named", func() bool {
		body := s.relay.readyz()
		return strings.Contains(body, "stream: ok") && !strings.Contains(body, transaction) && !strings.Contains(body, "forgotten")
	})
}
