package sql

import (
	"context"
	"fmt"

	"relay"
)

const selectPresent = `
select pg_current_snapshot()::text, array(
	select x.id from unnest($1::uuid[]) as w(id)
	cross join lateral (select o.id from relay.outbox o where o.id = w.id limit 1) x
)`

// Present returns which of these messages exist, whatever their status, and the snapshot that tells it.
func (s *Store) Present(ctx context.Context, ids []relay.ID) (snapshot relay.Snapshot, present map[relay.ID]bool, err error) {
	var text string
	var found [][16]byte
	if err := s.pool.QueryRow(ctx, selectPresent, uuids(ids)).Scan(&text, &found); err != nil {
		return snapshot, nil, fmt.Errorf("look whether messages are gone: %w", err)
	}
	if snapshot, err = relay.ParseSnapshot(text); err != nil {
		return snapshot, nil, fmt.Errorf("look whether messages are gone: %w", err)
	}
	present = make(map[relay.ID]bool, len(found))
	for _, id := range found {
		present[id] = true
	}
	return snapshot, present, nil
}
