package sql

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// The successor of a relay that died has no shard until it has watched the old leases for as long as they last. It
// lives all the same, and the dead one does not.
func TestARelayThatWaitsForTheShardsOfADeadOneRuns(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	own(t, s)
	const died = "update relay.instance set seen_at = seen_at - interval '2 minutes'; update relay.lease set expires_at = expires_at - interval '2 minutes'"
	if _, err := db.Admin(t).Exec(t.Context(), died, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	lease, _, err := s.Renew(t.Context(), Instance{ID: relay.NewID(), Name: "heir", Version: "v1"}, time.Minute, true, new(Watch))
	if err != nil || len(lease.Epochs) != 0 {
		t.Fatalf("the heir has %d shards at once, %v", len(lease.Epochs), err)
	}
	e, err := Examine(t.Context(), db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Conn.Close(t.Context())
	facts, err := e.Relays(t.Context())
	if err != nil || len(facts.Names) != 1 || facts.Names[0] != "heir (v1)" || facts.Expired != relay.Shards {
		t.Errorf("%+v, %v: want the heir, and the shards of the dead one without an owner", facts, err)
	}
	list, err := e.RunningRelays(t.Context())
	if err != nil || len(list) != 2 || !list[0].Silent || list[0].Expired != relay.Shards || list[1].Silent {
		t.Errorf("%+v, %v: want the first to be silent, and the heir not", list, err)
	}
}
