package test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/harness"
)

func TestNotifyAndPollNeedNoStream(t *testing.T) {
	t.Parallel()
	for _, capture := range []string{"notify", "poll"} {
		t.Run(capture, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, "RELAY_CAPTURE="+capture)
			for range 20 {
				s.send(t, "topic, key", "'t', 'k' || random()")
			}
			harness.Eventually(t, 20*time.Second, "all have arrived", func() bool { return s.receiver.distinct() == 20 })
			if n := s.text(t, "select count(*)::text from pg_replication_slots where database = current_database()"); n != "0" {
				t.Errorf("%s slots were made", n)
			}
		})
	}
}

func TestTheTriggerIsThereOnlyInNotifyMode(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_CAPTURE=notify")
	prepared := func() error {
		conn, err := pgx.Connect(t.Context(), s.db.AppURL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		_, err = conn.Exec(t.Context(), "begin; insert into relay.outbox (topic) values ('t'); prepare transaction '"+s.db.Name+"'")
		return err
	}
	if err := prepared(); err == nil {
		t.Error("PREPARE TRANSACTION succeeded with the trigger in place")
	}
	if err := s.relay.stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	start(t, s.db, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	if err := prepared(); err != nil {
		t.Error(err)
	}
	s.exec(t, "rollback prepared '"+s.db.Name+"'")
}

// Every supported server does the main job, and the relay has no more rights than README
// asks for.
func TestEveryServerVersion(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 16, 17, 18} {
		db := harness.DatabaseOn(t, major)
		prepare(t, db)
		r := newReceiver(t, nil)
		p := start(t, db, "RELAY_DEFAULT_DESTINATION="+r.URL)
		id := insertRow(t, db.App(t), "topic, key, payload", `'t', 'k', '{"v": 1}'`)
		harness.Eventually(t, 20*time.Second, "it has arrived", func() bool { return r.accepted(id) == 1 })
		if err := p.stop(20 * time.Second); err != nil {
			t.Errorf("PostgreSQL %d: %v", major, err)
		}
	}
}
