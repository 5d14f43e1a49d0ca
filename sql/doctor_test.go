package sql_test

import (
	"strings"
	"testing"
	"time"

	"relay/sql"
	"relay/test/harness"
)

func examine(t *testing.T, url string) *sql.Examiner {
	t.Helper()
	e, err := sql.Examine(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Conn.Close(t.Context()) })
	return e
}

func TestExaminerFindsOldTransactions(t *testing.T) {
	t.Parallel()
	db := harness.Database(t)
	tx, err := db.App(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	prepare := "begin; select pg_current_xact_id(); prepare transaction '" + db.Name + "''s'"
	if _, err := db.Relay(t).Exec(t.Context(), prepare); err != nil {
		t.Fatal(err)
	}
	e := examine(t, db.AdminURL)
	old, err := e.OldTransactions(t.Context(), 0)
	if err != nil || len(old) != 1 || !strings.HasPrefix(old[0].Who, "app, ") || old[0].State != "idle in transaction" || old[0].PID == 0 {
		t.Errorf("%+v, %v", old, err)
	}
	prepared, err := e.OldPrepared(t.Context(), 0)
	if err != nil || len(prepared) != 1 || prepared[0].Literal != "'"+db.Name+"''s'" || prepared[0].Owner != "relay" {
		t.Errorf("%+v, %v", prepared, err)
	}
	old, err = e.OldTransactions(t.Context(), time.Hour)
	prepared, errPrepared := e.OldPrepared(t.Context(), time.Hour)
	if len(old) != 0 || len(prepared) != 0 || err != nil || errPrepared != nil {
		t.Errorf("younger than an hour: %+v, %+v, %v, %v", old, prepared, err, errPrepared)
	}
	// The relay's role sees that the session is there, and not since when.
	old, err = examine(t, db.URL).OldTransactions(t.Context(), 0)
	if err != nil || len(old) != 0 {
		t.Errorf("without pg_read_all_stats: %+v, %v", old, err)
	}
}

func TestExaminerWorksOnEveryVersion(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 16, 17, 18} {
		db := harness.DatabaseOn(t, major)
		e := examine(t, db.URL)
		server, err := e.Server(t.Context())
		if err != nil || server.VersionNumber/10000 != major || server.Role != "relay" || !server.Replication || server.Superuser ||
			server.WALLevel != "logical" || server.Ahead.Abs() > time.Minute {
			t.Errorf("%d: %+v, %v", major, server, err)
		}
		if schema, err := e.Schema(t.Context()); err != nil || schema.Exists || schema.Needed == 0 {
			t.Errorf("%d: %+v, %v", major, schema, err)
		}
		store, err := sql.Open(t.Context(), db.URL, 2)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.Close()
		schema, err := e.Schema(t.Context())
		if err != nil || !schema.Exists || schema.Version != schema.Needed || len(schema.Foreign)+len(schema.Inserters) > 0 {
			t.Errorf("%d: %+v, %v", major, schema, err)
		}
		if _, err := e.Table(t.Context()); err != nil {
			t.Errorf("%d: %v", major, err)
		}
		if facts, err := e.Relays(t.Context()); err != nil || facts.Shards != 0 {
			t.Errorf("%d: %+v, %v", major, facts, err)
		}
		if facts, err := e.Messages(t.Context()); err != nil || facts != (sql.MessageFacts{}) {
			t.Errorf("%d: %+v, %v", major, facts, err)
		}
		if waiting, err := e.WaitingDeliveries(t.Context()); err != nil || len(waiting) != 0 {
			t.Errorf("%d: %+v, %v", major, waiting, err)
		}
	}
}
