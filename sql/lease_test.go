package sql

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
	"relay/test/harness"
)

// A relay may freeze, or be cut off, in the midst of a transaction that has locked its leases.
func TestATransactionCutOffHalfWayHoldsUpNoTakeover(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	own(t, s, 500*time.Millisecond)
	config, err := pgx.ParseConfig(db.URL)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams = SessionSettings()
	frozen, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close(context.Background())
	const locks = "begin; select 1 from relay.lease for share"
	if _, err := frozen.Exec(t.Context(), locks, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	heir, watch := Instance{ID: relay.NewID(), Name: "heir"}, new(Watch)
	harness.Eventually(t, 10*time.Second, "another relay takes over", func() bool {
		lease, _, err := s.Renew(t.Context(), heir, 500*time.Millisecond, true, watch)
		return err == nil && len(lease.Epochs) > 0
	})
}

// heirOf watches the leases of another relay until it has them, and returns how long that took.
func heirOf(t *testing.T, s *Store, ttl time.Duration, meanwhile func()) time.Duration {
	t.Helper()
	heir, watch, begun := Instance{ID: relay.NewID(), Name: "heir"}, new(Watch), time.Now()
	harness.Eventually(t, 20*time.Second, "another relay takes over", func() bool {
		meanwhile()
		lease, _, err := s.Renew(t.Context(), heir, ttl, true, watch)
		if err != nil {
			t.Fatal(err)
		}
		return len(lease.Epochs) > 0
	})
	return time.Since(begun)
}

// The database's clock may jump: it says nothing about whether a relay lives.
func TestAJumpOfTheDatabasesClockEndsNoLease(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	s, db := open(t)
	me, watch := Instance{ID: relay.NewID(), Name: "living"}, new(Watch)
	if _, _, err := s.Renew(t.Context(), me, ttl, true, watch); err != nil {
		t.Fatal(err)
	}
	admin, heir, other := db.Admin(t), Instance{ID: relay.NewID(), Name: "heir"}, new(Watch)
	for end := time.Now().Add(3 * ttl); time.Now().Before(end); {
		if _, _, err := s.Renew(t.Context(), me, ttl, true, watch); err != nil {
			t.Fatal(err)
		}
		// As if the clock had been set forward since.
		for _, jump := range []string{"update relay.lease set expires_at = '2000-01-01'", "update relay.instance set seen_at = '2000-01-01'"} {
			if _, err := admin.Exec(t.Context(), jump); err != nil {
				t.Fatal(err)
			}
		}
		lease, _, err := s.Renew(t.Context(), heir, ttl, true, other)
		if err != nil || len(lease.Epochs) > 0 {
			t.Fatalf("it lives and lost %d shards: %v", len(lease.Epochs), err)
		}
	}
	// As if it had been set back: what has died is taken over nevertheless.
	if _, err := admin.Exec(t.Context(), "update relay.lease set expires_at = '2100-01-01'; update relay.instance set seen_at = '2100-01-01'", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	if took := heirOf(t, s, ttl, func() {}); took < ttl || took > 10*ttl {
		t.Errorf("it has died, and was succeeded after %s", took)
	}
}

// A relay of the version before extends its leases and counts nothing.
func TestARelayThatCountsNoRenewalsKeepsItsLeases(t *testing.T) {
	t.Parallel()
	const ttl = 500 * time.Millisecond
	s, db := open(t)
	own(t, s, ttl)
	admin, begun := db.Admin(t), time.Now()
	took := heirOf(t, s, ttl, func() {
		if time.Since(begun) > 3*ttl {
			return // it dies
		}
		if _, err := admin.Exec(t.Context(), "update relay.lease set expires_at = clock_timestamp() + interval '1 second'"); err != nil {
			t.Fatal(err)
		}
	})
	if took < 3*ttl {
		t.Errorf("it was succeeded after %s, when it lived", took)
	}
}

// The relay that renews a lease decides for how long it is valid, also where another one has a shorter ttl.
func TestALeaseIsValidForItsOwnersTTL(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	own(t, s, 2*time.Second)
	if took := heirOf(t, s, 100*time.Millisecond, func() {}); took < 2*time.Second {
		t.Errorf("it was succeeded after %s", took)
	}
}

// A renewal that took longer than outcomes wait for a row was taken for a lock on their rows.
func TestOutcomesWaitForARenewal(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin, lease := db.Admin(t), own(t, s)
	change := failed(insert(t, admin, "topic", "'t'"), time.Hour)
	for _, write := range []func(context.Context, Lease, []Change) ([]relay.ID, error){s.WriteTaken, s.WriteOpen} {
		tx, err := admin.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "select 1 from relay.lease for update"); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Second, func() { _ = tx.Rollback(context.Background()) })
		written, err := write(t.Context(), lease, []Change{change})
		if timer.Stop() || err != nil || len(written) != 1 {
			t.Errorf("wrote %v: %v", written, err)
		}
		change.Taking, change.Attempts, change.Attempt.Number = false, 2, 2
	}
}
