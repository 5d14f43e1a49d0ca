package sql

import (
	"testing"
	"time"

	"relay"
)

// TestReportsAreTheLivingRelays: a relay without a row cannot report, what it says comes back as it was but for NUL,
// and a report that is not renewed counts for nothing.
func TestReportsAreTheLivingRelays(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	me := Instance{ID: relay.NewID(), Name: "one", Version: "v1"}
	report := Report{
		Settings: map[string]string{"RELAY_SLOT": "shop"}, Doorbell: &DoorbellReport{Stream: true, Why: "held\x00", Mend: "end it"},
		Circuits: []CircuitReport{{Name: "billing", Since: time.Now().UTC().Truncate(time.Second), Why: "re\x00fused"}}, OpenCircuits: 1,
	}
	if told, err := s.Tell(t.Context(), me.ID, report); err != nil || told {
		t.Errorf("before its first sign of life: told %v, %v", told, err)
	}
	if _, _, err := s.Renew(t.Context(), me, time.Minute, true, new(Watch)); err != nil {
		t.Fatal(err)
	}
	if told, err := s.Tell(t.Context(), me.ID, report); err != nil || !told {
		t.Fatalf("told %v, %v", told, err)
	}
	e, err := Examine(t.Context(), db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Conn.Close(t.Context())
	list, err := e.Reports(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "one" || list[0].Report.Doorbell.Why != "held" || list[0].Report.Circuits[0].Why != "refused" ||
		list[0].Report.Settings["RELAY_SLOT"] != "shop" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := db.Admin(t).Exec(t.Context(), "update relay.instance set reported_at = now() - interval '1 minute'"); err != nil {
		t.Fatal(err)
	}
	if list, err = e.Reports(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("an old report: %+v, %v", list, err)
	}
	relays, err := e.RunningRelays(t.Context())
	if err != nil || len(relays) != 1 || relays[0].Report != nil {
		t.Errorf("%+v, %v", relays, err)
	}
}
