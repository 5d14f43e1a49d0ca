package machine

// Snapshot is what pg_current_snapshot() returned with a read.
type Snapshot struct {
	// Xmin and Xmax are full transaction ids of 64 bits: all below Xmin have ended, none from
	// Xmax on had.
	Xmin, Xmax uint64
	// InProgress are those between them that had not ended.
	InProgress []uint64
	// Durable says that the WAL was flushed as far as it had been inserted after the read: what
	// it shows survives a crash of the server.
	Durable bool
}

// Shows reports whether the snapshot shows what a committed transaction wrote. The id has 32
// bits, as the stream gives it: its epoch is that of the ids around the snapshot.
func (s *Snapshot) Shows(xid uint32) bool {
	full := s.full(xid)
	if full >= s.Xmax {
		return false
	}
	if full < s.Xmin {
		return true
	}
	for _, id := range s.InProgress {
		if id == full {
			return false
		}
	}
	return true
}

// full is a transaction's id with its epoch.
func (s *Snapshot) full(xid uint32) uint64 { return s.Xmax + uint64(int64(int32(xid-uint32(s.Xmax)))) }

// ended reports whether a transaction had certainly ended. Unlike Shows it may be asked for the id of a savepoint, as
// the xmin of a row is one: a snapshot does not list those among what was in progress.
func (s *Snapshot) ended(xid uint32) bool { return s.full(xid) < s.Xmin }
