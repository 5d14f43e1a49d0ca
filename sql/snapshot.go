package sql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"relay"
)

// Snapshot says which transactions a statement saw, as pg_current_snapshot() does. The zero value saw none.
type Snapshot struct {
	Min uint64 // all below had ended
	Max uint64 // those from here on had not ended
	// Running are those between that had not ended, among them prepared ones and commits that wait for a standby.
	Running []uint64
}

// Shows reports whether the statement saw what a committed transaction had done, its savepoints included. The
// stream tells the lower 32 bits of a transaction's id, and the snapshot knows the rest: transactions
// that are in use lie less than 2^31 apart. Zero stands for one that was visible before.
func (s Snapshot) Shows(xid uint32) bool {
	if xid == 0 {
		return true
	}
	full := s.Max + uint64(int64(int32(xid-uint32(s.Max))))
	return full < s.Max && !slices.Contains(s.Running, full)
}

// parseSnapshot reads PostgreSQL's text form, for instance 10:20:10,14,15.
func parseSnapshot(text string) (s Snapshot, err error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return s, fmt.Errorf("snapshot %q has not three parts", text)
	}
	if s.Min, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return s, fmt.Errorf("snapshot %q: %w", text, err)
	}
	if s.Max, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return s, fmt.Errorf("snapshot %q: %w", text, err)
	}
	for running := range strings.SplitSeq(parts[2], ",") {
		if running == "" {
			continue
		}
		xid, err := strconv.ParseUint(running, 10, 64)
		if err != nil {
			return s, fmt.Errorf("snapshot %q: %w", text, err)
		}
		s.Running = append(s.Running, xid)
	}
	return s, nil
}

const selectPresent = `
select pg_current_snapshot()::text, array(
	select x.id from unnest($1::uuid[]) as w(id)
	cross join lateral (select o.id from relay.outbox o where o.id = w.id limit 1) x
)`

// Present returns which of these messages exist, whatever their status, and the snapshot that tells it.
func (s *Store) Present(ctx context.Context, ids []relay.ID) (snapshot Snapshot, present map[relay.ID]bool, err error) {
	var text string
	var found [][16]byte
	if err := s.pool.QueryRow(ctx, selectPresent, uuids(ids)).Scan(&text, &found); err != nil {
		return snapshot, nil, fmt.Errorf("look whether messages are gone: %w", err)
	}
	if snapshot, err = parseSnapshot(text); err != nil {
		return snapshot, nil, fmt.Errorf("look whether messages are gone: %w", err)
	}
	present = make(map[relay.ID]bool, len(found))
	for _, id := range found {
		present[id] = true
	}
	return snapshot, present, nil
}
