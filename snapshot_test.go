package relay

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
		if got := s.Ended(xid); got != want {
			t.Errorf("transaction %d: %t", xid, got)
		}
	}
}

func TestASnapshotKnowsTheRestOfATransactionsID(t *testing.T) {
	t.Parallel()
	const epoch = 5 << 32
	for _, c := range []struct {
		snapshot string
		xid      uint32
		shows    bool
	}{
		{"10:20:10,14", 9, true},
		{"10:20:10,14", 10, false},
		{"10:20:10,14", 11, true},
		{"10:20:10,14", 14, false},
		{"10:20:10,14", 20, false},
		{"10:20:", 19, true},
		{"10:20:10,14", 0, true},                          // was visible before
		{"21474836480:21474836490:21474836485", 5, false}, // 5<<32 + 5
		{"21474836480:21474836490:21474836485", 4, true},  // of the same epoch
		{"21474836480:21474836490:", 4294967290, true},    // of the epoch before
		{"21474836470:21474836490:21474836474", 4294967290, false},
		{"21474836000:21474836470:", 3, false}, // of the next epoch
	} {
		s, err := ParseSnapshot(c.snapshot)
		if err != nil || s.Shows(c.xid) != c.shows {
			t.Errorf("%s shows %d: %v, error %v", c.snapshot, c.xid, !c.shows, err)
		}
	}
	if s, err := ParseSnapshot("21474836480:21474836490:21474836485"); err != nil || s.InProgress[0] != epoch+5 {
		t.Errorf("%v, error %v", s, err)
	}
	for _, wrong := range []string{"", "1:2", "1:b:", "1:2:c", "1:2:3,,x"} {
		if _, err := ParseSnapshot(wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}
