package relay

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Snapshot says which transactions a read saw, as pg_current_snapshot() does. The zero value saw none.
type Snapshot struct {
	// Xmin and Xmax are full transaction ids of 64 bits: all below Xmin had ended, none from Xmax on had.
	Xmin, Xmax uint64
	// InProgress are those between them that had not ended, among them prepared ones and commits that wait for a standby.
	InProgress []uint64
	// Durable says that the WAL was flushed as far as it had been inserted after the read: what it shows survives a
	// crash of the server.
	Durable bool
}

// ParseSnapshot reads PostgreSQL's text form, for instance 10:20:10,14,15.
func ParseSnapshot(text string) (s Snapshot, err error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return s, fmt.Errorf("snapshot %q has not three parts", text)
	}
	ids := append(parts[:2], strings.FieldsFunc(parts[2], func(r rune) bool { return r == ',' })...)
	all := make([]uint64, len(ids))
	for i, id := range ids {
		if all[i], err = strconv.ParseUint(id, 10, 64); err != nil {
			return s, fmt.Errorf("snapshot %q: %w", text, err)
		}
	}
	return Snapshot{Xmin: all[0], Xmax: all[1], InProgress: all[2:]}, nil
}

// Shows reports whether the read saw what a committed transaction had done, its savepoints included. The stream tells
// the lower 32 bits of a transaction's id, and the snapshot knows the rest: transactions that are in use lie less than
// 2^31 apart. Zero stands for one that was visible before.
func (s *Snapshot) Shows(xid uint32) bool {
	full := s.Full(xid)
	return xid == 0 || full < s.Xmax && !slices.Contains(s.InProgress, full)
}

// Ended reports whether a transaction had certainly ended. Unlike Shows it may be asked for the id of a savepoint, as
// the xmin of a row is one: a snapshot does not list those among what was in progress.
func (s *Snapshot) Ended(xid uint32) bool { return s.Full(xid) < s.Xmin }

// Full is a transaction's id with its epoch.
func (s *Snapshot) Full(xid uint32) uint64 { return s.Xmax + uint64(int64(int32(xid-uint32(s.Xmax)))) }
