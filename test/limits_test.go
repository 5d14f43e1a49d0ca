package test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relay/test/harness"
)

// sendUnlimited inserts a message as it may be left of a time before INSERTs had limits, and
// returns its id.
func (s *system) sendUnlimited(t testing.TB, columns, values string, arguments ...any) (id string) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), s.admin, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "alter table relay.outbox disable trigger outbox_checked"); err != nil {
			return err
		}
		statement := "insert into relay.outbox (" + columns + ") values (" + values + ") returning id::text"
		if err := tx.QueryRow(t.Context(), statement, arguments...).Scan(&id); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), "alter table relay.outbox enable always trigger outbox_checked")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestHostileRowsAreRefused: a destination of many megabytes stopped the relay for all where a
// subscription listens to relay.dead, and compressible headers stopped all reading.
func TestHostileRowsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for statement, constraint := range map[string]string{
		"insert into relay.outbox (topic, destination) values ('t', repeat('x', 100000000))":                                              "outbox_destination_length",
		"insert into relay.outbox (topic, headers) select 't', jsonb_build_object('a', repeat('x', 10000000)) from generate_series(1, 3)": "outbox_headers",
		"insert into relay.outbox (topic, source) values ('t', repeat('x', 100000000))":                                                   "outbox_source_length",
		"insert into relay.outbox (topic, payload) values ('relay.dead', '{\"message_id\": \"made up\"}')":                                "outbox_topic_reserved",
		"select relay.publish('relay.dead', '{}')":                                                                                        "outbox_topic_reserved",
	} {
		_, err := s.app.Exec(t.Context(), statement)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "23514" || pg.ConstraintName != constraint {
			t.Errorf("%s: %v, want a violation of %s", statement, err, constraint)
		}
	}
	s.waitStatus(t, s.send(t, "topic", "'t'"), "done")
}

// TestRowsOverALimitStopNoOther: rows that were there before the limits are rejected, and the
// subscribers of relay.rejected receive a report of a few kilobytes.
func TestRowsOverALimitStopNoOther(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	alerts := newReceiver(t, nil)
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('alerts', '{relay.dead}', $1)", alerts.URL)
	large := []string{
		s.sendUnlimited(t, "topic, destination", "'t', 'http://user:hunter2@h/' || repeat('x', 30000000)"),
		s.sendUnlimited(t, "topic, source", "'t', repeat('x', 30000000)"),
	}
	for range 8 {
		large = append(large, s.sendUnlimited(t, "topic, headers", "'t', jsonb_build_object('a', repeat('x', 5000000))"))
	}
	s.waitStatus(t, s.send(t, "topic", "'t'"), "done")
	for _, id := range large {
		s.waitStatus(t, id, "rejected")
		harness.Eventually(t, 20*time.Second, "its report arrives", func() bool {
			return s.text(t, "select status::text from relay.outbox where topic = 'relay.dead' and payload::json->>'message_id' = $1", id) == "done"
		})
		if _, report := s.deaths(t, id); len(report) > 20_000 || strings.Contains(report, "hunter2") {
			t.Errorf("the report has %d bytes: %.300s", len(report), report)
		}
	}
}
