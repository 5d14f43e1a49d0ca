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
func keysEngine(t *testing.T) *core {
	t.Helper()
	e := New(Config{InFlight: 100, InFlightBytes: 1 << 20, Log: slog.New(slog.DiscardHandler)}).core
	lease := sql.Lease{Owner: e.id, Epochs: make(map[int16]int64)}
	for shard := range int16(relay.Shards) {
		lease.Epochs[shard] = 1
	}
	own := newOwnership(lease, relay.Shards, e.lease.Load(), nil)
	own.until = time.Now().Add(time.Hour)
	e.lease.Store(own)
	e.keys.keysOf([]*entry{ring(e, "k")}, map[relay.ID]*entry{})
	e.keyring.took("k", 11)
	return e
}

// ring registers a message with a key as one that was reported, and takes it to be read.
func ring(e *core, key string) *entry {
	e.registry.add([]entry{messageEntry(relay.Ring{ID: relay.NewID(), Key: key}, true)})
	return e.registry.toRead.takeKeyed(1)[0]
}

// keyRow is a row that is too large to be sent: it is taken in its order, and needs no route.
func keyRow(id relay.ID, seq int64) sql.MessageRow {
	return sql.MessageRow{Verdict: sql.TooLarge, Message: relay.Message{ID: id, Key: "k", Seq: seq}}
}

func seqs(tasks []*task) (out []int64) {
	for _, f := range tasks {
		out = append(out, f.message.Seq)
	}
	return out
}

// A transaction took sequence 10 and committed when 11 was on its way already, before 13 was
// inserted. A read of the key for 12 must not take 13 along: 10 has to come before it, and is
// reported in a moment.
func TestWhatNobodyRangForYetIsNotReadAhead(t *testing.T) {
	t.Parallel()
	e := keysEngine(t)
	wanted := make(map[relay.ID]*entry)
	reported := ring(e, "k")
	keys := e.keys.keysOf([]*entry{reported}, wanted)
	if len(keys) != 1 || keys[0].After != 11 {
		t.Fatalf("read %+v", keys)
	}
	tasks, short := e.keys.takeKey(keys[0], []sql.MessageRow{keyRow(reported.id.Message, 12), keyRow(relay.NewID(), 13)}, wanted, &sql.Limits{Budget: 1 << 20})
	if got := seqs(tasks); !slices.Equal(got, []int64{12}) || short {
		t.Errorf("took %v, more %v", got, short)
	}
}

// What is reported without its key passes other readers first, and may come late.
func TestAKeyIsReadFromItsLowestMessageForARingWithoutKey(t *testing.T) {
	t.Parallel()
	e := keysEngine(t)
	e.registry.add([]entry{messageEntry(relay.Ring{ID: relay.NewID()}, true)})
	en := e.registry.toRead.take(1)[0]
	e.registry.toRead.rekey(en, "k")
	wanted := make(map[relay.ID]*entry)
	keys := e.keys.keysOf(append([]*entry{ring(e, "k")}, en), wanted)
	if len(keys) != 1 || keys[0].After != 0 || !slices.Equal(keys[0].Taken, []int64{11}) {
		t.Fatalf("read %+v", keys)
	}
	rows := []sql.MessageRow{keyRow(relay.NewID(), 10), keyRow(en.id.Message, 12), keyRow(relay.NewID(), 13)}
	tasks, short := e.keys.takeKey(keys[0], rows, wanted, &sql.Limits{Budget: 1 << 20})
	if got := seqs(tasks); !slices.Equal(got, []int64{10, 12, 13}) || short {
		t.Errorf("took %v, more %v", got, short)
	}
}

// What the snapshot shows before it is reported is passed by nothing, not even by one whose
// ring comes while the rows are gone through.
func TestNothingPassesAMessageWhoseRingIsYetToCome(t *testing.T) {
	t.Parallel()
	e := keysEngine(t)
	wanted := make(map[relay.ID]*entry)
	reported := ring(e, "k")
	keys := e.keys.keysOf([]*entry{reported}, wanted)
	behind := ring(e, "k") // the ring of the one before it came a moment after its row was looked at
	rows := []sql.MessageRow{keyRow(reported.id.Message, 12), keyRow(relay.NewID(), 13), keyRow(behind.id.Message, 14)}
	tasks, _ := e.keys.takeKey(keys[0], rows, wanted, &sql.Limits{Budget: 1 << 20})
	if got := seqs(tasks); !slices.Equal(got, []int64{12}) {
		t.Errorf("took %v", got)
	}
}

// What becomes due takes its place, which may be before what was read already, and behind a lower one that committed
// late and whose ring is yet to come. That its key stands to be read anyhow does not change it.
func TestAKeyIsReadFromItsLowestMessageForOneThatIsDue(t *testing.T) {
	t.Parallel()
	e := keysEngine(t)
	e.registry.add([]entry{keyEntry("k")})
	due := sql.Due{ID: sql.DeliveryID{Message: relay.NewID()}, Key: "k"}
	e.registry.add(dueMessages([]sql.Due{due, due}))
	batch := e.registry.toRead.takeKeyed(10)
	if len(batch) != 1 {
		t.Fatalf("%d entries", len(batch))
	}
	keys := e.keys.keysOf(batch, map[relay.ID]*entry{})
	if len(keys) != 1 || keys[0].After != 0 || !slices.Equal(keys[0].Taken, []int64{11}) {
		t.Fatalf("read %+v", keys)
	}
	tasks, _ := e.keys.takeKey(keys[0], []sql.MessageRow{keyRow(relay.NewID(), 10), keyRow(due.ID.Message, 12)}, nil, &sql.Limits{Budget: 1 << 20})
	if got := seqs(tasks); !slices.Equal(got, []int64{10, 12}) {
		t.Errorf("took %v", got)
	}
}

// A message of the key is due and not an ordinary one yet: its place is not known, so nothing of the key goes.
func TestNothingPassesAMessageThatHasJustBecomeDue(t *testing.T) {
	t.Parallel()
	e := keysEngine(t)
	wanted := make(map[relay.ID]*entry)
	reported, other := ring(e, "k"), ring(e, "other")
	keys := e.keys.keysOf([]*entry{reported, other}, wanted)
	late := keyRow(reported.id.Message, 12)
	late.Late = true
	tasks, short := e.keys.takeKey(keys[0], []sql.MessageRow{late}, wanted, &sql.Limits{Budget: 1 << 20})
	if len(tasks) > 0 || short || len(wanted) != 1 || wanted[other.id.Message] == nil {
		t.Errorf("took %v, more %v, still wanted %v", seqs(tasks), short, wanted)
	}
	if e.registry.has(reported.id.Message) || !e.registry.has(other.id.Message) {
		t.Error("want the one of the other key registered alone")
	}
	if e.due.at.IsZero() {
		t.Error("due times are not looked at")
	}
}
