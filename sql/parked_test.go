package sql

import (
	"slices"
	"testing"
)

// What rows name is found apart from what an operator configured, and in parts: rows may
// name any number of destinations.
func TestParkedDeliveriesOfRowsAreFoundApartAndInParts(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	lease := own(t, s)
	const fill = `
	insert into relay.outbox (topic, status, outstanding) select 't', 'open', 1 from generate_series(1, 3000);
	insert into relay.delivery (message_id, subscription, target, status, reason, circuit, shard, seq, due_at)
		select id, 'direct', 'x', 'waiting', 'circuit_open', 'http://h' || seq % 1000 || ':80/', shard, seq, created_at from relay.outbox;
	insert into relay.delivery (message_id, subscription, target, status, reason, circuit, shard, seq, due_at)
		select id, 'default', 'x', 'waiting', 'full', 'http://h1:80/', shard, seq, created_at from relay.outbox limit 10;
	insert into relay.delivery (message_id, subscription, target, status, reason, circuit, shard, seq, due_at)
		select id, 'sub', 'x', 'waiting', 'full', 'sub', shard, seq, created_at from relay.outbox limit 10`
	if _, err := db.Admin(t).Exec(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	operators, err := s.ParkedCircuits(t.Context())
	if err != nil || len(operators) != 2 || operators[0].Direct || operators[1].Direct {
		t.Errorf("circuits of operators: %v, %v", operators, err)
	}
	var all []Parked
	for after := ""; ; after = all[len(all)-1].Circuit {
		part, err := s.ParkedDirectCircuits(t.Context(), after, 300)
		if err != nil || len(part) > 300 {
			t.Fatalf("%d circuits: %v", len(part), err)
		}
		if all = append(all, part...); len(part) < 300 {
			break
		}
	}
	seen := make(map[Parked]bool)
	for _, p := range all {
		seen[p] = true
	}
	if len(all) != 1000 || len(seen) != 1000 || !all[0].Direct {
		t.Errorf("%d circuits of rows, %d of them different", len(all), len(seen))
	}
	for _, p := range []Parked{{Circuit: "http://h1:80/", Direct: true}, {Circuit: "http://h1:80/"}} {
		found, err := s.ParkedDeliveries(t.Context(), p, shardsOf(lease), 0, 100)
		wrong := slices.ContainsFunc(found, func(d Due) bool { return (d.ID.Subscription == "direct") != p.Direct })
		if err != nil || wrong || len(found) != map[bool]int{true: 3, false: 10}[p.Direct] {
			t.Errorf("%v: %d deliveries, others among them: %v, %v", p, len(found), wrong, err)
		}
	}
	hot := hotStatement{"parked circuits", parkedCircuits, nil}
	if n := passedBy(t, s, hot); n > 100 {
		t.Errorf("%d rows are read for nothing", n)
	}
}
