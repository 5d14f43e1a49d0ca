package machine

import "testing"

func TestSnapshotShows(t *testing.T) {
	t.Parallel()
	s := Snapshot{Xmin: 1<<32 - 2, Xmax: 1<<32 + 6, InProgress: []uint64{1<<32 - 2, 1<<32 + 4}}
	for xid, want := range map[uint32]bool{
		1<<32 - 3: true,  // before the oldest
		1<<32 - 2: false, // in progress, of the epoch before
		1<<32 - 1: true,
		3:         true, // the id went round
		4:         false,
		5:         true,
		6:         false, // it had not begun
		900:       false,
	} {
		if got := s.Shows(xid); got != want {
			t.Errorf("transaction %d: %t", xid, got)
		}
	}
}

// A savepoint has an id of its own, which no snapshot lists among those in progress.
func TestSnapshotEnded(t *testing.T) {
	t.Parallel()
	s := Snapshot{Xmin: 1<<32 - 2, Xmax: 1<<32 + 6, InProgress: []uint64{1<<32 - 2}}
	for xid, want := range map[uint32]bool{1<<32 - 3: true, 1<<32 - 2: false, 1<<32 - 1: false, 5: false, 6: false} {
		if got := s.ended(xid); got != want {
			t.Errorf("transaction %d: %t", xid, got)
		}
	}
}
