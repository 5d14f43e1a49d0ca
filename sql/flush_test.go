package sql

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"relay"
	"relay/test/harness"
	"relay/throwaway"
)

// A relay has read a row, and the server dies and comes back before the relay asks whether
// the row is durable. All that the new server has is; the row is not there.
func TestWhatACrashHasUndoneIsNotTakenForDurable(t *testing.T) {
	t.Parallel()
	db := harness.NewDatabase(t, harness.Postgres(t, throwaway.PostgresConfig{Settings: map[string]string{
		"wal_writer_delay": "10s", "autovacuum": "off", "checkpoint_timeout": "1d",
	}}))
	s := openAt(t, db.URL)
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	durable := insert(t, db.Admin(t), "topic", "'t'")
	app, err := pgx.Connect(t.Context(), db.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close(t.Context())
	if _, err := app.Exec(t.Context(), "set synchronous_commit = off"); err != nil {
		t.Fatal(err)
	}
	var vanishing relay.ID
	if err := app.QueryRow(t.Context(), "insert into relay.outbox (topic) values ('t') returning id").Scan((*[16]byte)(&vanishing)); err != nil {
		t.Fatal(err)
	}
	rows, err := s.ReadMessages(t.Context(), []relay.ID{durable, vanishing}, Limits{MaxPayload: 1000, Budget: 1000})
	if err != nil || rows[1].Verdict != Readable {
		t.Fatalf("read %v: %v", rows, err)
	}
	if err := db.Server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := db.Server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.pool.Reset()
	if err := s.EnsureFlushed(t.Context(), durable); err != nil {
		t.Errorf("the durable one: %v", err)
	}
	if err := s.EnsureFlushed(t.Context(), durable, vanishing); !errors.Is(err, ErrVanished) {
		t.Errorf("the vanished one: %v, want %v", err, ErrVanished)
	}
}
