package reconcile

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"relay"
	"relay/sql"
)

// keysEngine is an engine that owns everything and has one message of key k in memory.
func keysEngine(t *testing.T) *Engine {
	t.Helper()
	e := New(Config{InFlight: 100, InFlightBytes: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	lease := sql.Lease{Owner: e.id, Epochs: make(map[int16]int64)}
	for shard := range int16(relay.Shards) {
		lease.Epochs[shard] = 1
	}
	own := newOwnership(lease, relay.Shards, e.lease.Load(), nil)
	own.until = time.Now().Add(time.Hour)
	e.lease.Store(own)
	e.keysOf([]*entry{ring(e, "k")}, map[relay.ID]*entry{})
	e.keyring.took("k", 11, false)
	return e
}

// ring registers a message with a key as one that was rung for, and takes it to be read.
func ring(e *Engine, key string) *entry {
	e.registry.add([]entry{messageEntry(relay.Ring{ID: relay.NewID(), Key: key}, true)})
	return e.registry.takeKeyed(1)[0]
}

// keyRow is a row that is too large to be sent: it is taken in its order, and needs no route.
func keyRow(id relay.ID, seq int64) sql.MessageRow {
	return sql.MessageRow{Verdict: sql.TooLarge, Message: relay.Message{ID: id, Key: "k", Seq: seq}}
}

func seqs(flights []*flight) (out []int64) {
	for _, f := range flights {
		out = append(out, f.message.Seq)
	}
	return out
}

// Somebody took sequence 10 and committed when 11 was on its way already, before 13 was
// inserted. Whoever reads the key for 12 must not take 13 along: 10 has to come before it, and is
// rung for in a moment.
func TestWhatNobodyRangForYetIsNotReadAhead(t *testing.T) {
	t.Parallel()
	e := keysEngine(t)
	wanted := make(map[relay.ID]*entry)
	rung := ring(e, "k")
	keys := e.keysOf([]*entry{rung}, wanted)
	if len(keys) != 1 || keys[0].After != 11 {
		t.Fatalf("read %+v", keys)
	}
	flights, short := e.takeKey(keys[0], []sql.MessageRow{keyRow(rung.id.Message, 12), keyRow(relay.NewID(), 13)}, wanted, &sql.Limits{Budget: 1 << 20})
	if got := seqs(flights); !slices.Equal(got, []int64{12}) || short {
		t.Errorf("took %v, more %v", got, short)
	}
}

// What is rung for without its key passes other readers first, and may come late.
func TestAKeyIsReadFromItsLowestMessageForARingWithoutKey(t *testing.T) {
	t.Parallel()
	e := keysEngine(t)
	e.registry.add([]entry{messageEntry(relay.Ring{ID: relay.NewID()}, true)})
	en := e.registry.take(1)[0]
	e.registry.rekey(en, "k")
	wanted := make(map[relay.ID]*entry)
	keys := e.keysOf(append([]*entry{ring(e, "k")}, en), wanted)
	if len(keys) != 1 || keys[0].After != 0 || !slices.Equal(keys[0].Taken, []int64{11}) {
		t.Fatalf("read %+v", keys)
	}
	rows := []sql.MessageRow{keyRow(relay.NewID(), 10), keyRow(en.id.Message, 12), keyRow(relay.NewID(), 13)}
	flights, short := e.takeKey(keys[0], rows, wanted, &sql.Limits{Budget: 1 << 20})
	if got := seqs(flights); !slices.Equal(got, []int64{10, 12, 13}) || short {
		t.Errorf("took %v, more %v", got, short)
	}
}

// What the snapshot shows before it is rung for is passed by nothing, not even by one whose
// ring comes while the rows are gone through.
func TestNothingPassesAMessageWhoseRingIsYetToCome(t *testing.T) {
	t.Parallel()
	e := keysEngine(t)
	wanted := make(map[relay.ID]*entry)
	rung := ring(e, "k")
	keys := e.keysOf([]*entry{rung}, wanted)
	behind := ring(e, "k") // the ring of the one before it came a moment after its row was looked at
	rows := []sql.MessageRow{keyRow(rung.id.Message, 12), keyRow(relay.NewID(), 13), keyRow(behind.id.Message, 14)}
	flights, _ := e.takeKey(keys[0], rows, wanted, &sql.Limits{Budget: 1 << 20})
	if got := seqs(flights); !slices.Equal(got, []int64{12}) {
		t.Errorf("took %v", got)
	}
}

// What becomes due takes its place behind a lower one that committed late, and whose ring is
// yet to come.
func TestAKeyIsReadFromItsLowestMessageForOneThatIsDue(t *testing.T) {
	t.Parallel()
	e := keysEngine(t)
	e.registry.add([]entry{{id: sql.DeliveryID{Message: relay.NewID()}, key: "k"}})
	due := e.registry.takeKeyed(1)[0]
	wanted := make(map[relay.ID]*entry)
	keys := e.keysOf([]*entry{due}, wanted)
	if len(keys) != 1 || keys[0].After != 0 {
		t.Fatalf("read %+v", keys)
	}
	row := keyRow(due.id.Message, 12)
	row.Message.DeliverAt = time.Now()
	flights, _ := e.takeKey(keys[0], []sql.MessageRow{keyRow(relay.NewID(), 10), row}, wanted, &sql.Limits{Budget: 1 << 20})
	if got := seqs(flights); !slices.Equal(got, []int64{10, 12}) {
		t.Errorf("took %v", got)
	}
}

// Nobody has registered it yet: the key was read for another one in the moment it became due.
func TestWhatIsDueIsNotReadAhead(t *testing.T) {
	t.Parallel()
	e := keysEngine(t)
	wanted := make(map[relay.ID]*entry)
	rung := ring(e, "k")
	keys := e.keysOf([]*entry{rung}, wanted)
	due := keyRow(relay.NewID(), 13)
	due.Message.DeliverAt = time.Now()
	flights, _ := e.takeKey(keys[0], []sql.MessageRow{keyRow(rung.id.Message, 12), due}, wanted, &sql.Limits{Budget: 1 << 20})
	if got := seqs(flights); !slices.Equal(got, []int64{12}) {
		t.Errorf("took %v", got)
	}
}
