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
	own(t, s)
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
	if _, err := db.Admin(t).Exec(t.Context(), "update relay.lease set expires_at = '-infinity'"); err != nil {
		t.Fatal(err)
	}
	const locks = "begin; select 1 from relay.lease for share"
	if _, err := frozen.Exec(t.Context(), locks, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	heir := Instance{ID: relay.NewID(), Name: "heir"}
	harness.Eventually(t, 10*time.Second, "another relay takes over", func() bool {
		lease, _, err := s.Renew(t.Context(), heir, time.Minute, true)
		return err == nil && len(lease.Epochs) > 0
	})
}
