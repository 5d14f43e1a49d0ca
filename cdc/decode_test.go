package cdc

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

// The messages below are built by the manual's 'Logical Replication Message Formats'.

func beginMessage() []byte {
	return append([]byte{'B'}, make([]byte, 20)...)
}

func commitMessage(end uint64) []byte {
	b := append([]byte{'C', 0}, make([]byte, 8)...)
	b = binary.BigEndian.AppendUint64(b, end)
	return binary.BigEndian.AppendUint64(b, 1_000_000)
}

func relationMessage(oid uint32, schema, table string, columns ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{'R'}, oid)
	b = append(b, schema...)
	b = append(b, 0)
	b = append(b, table...)
	b = append(b, 0, 'd')
	b = binary.BigEndian.AppendUint16(b, uint16(len(columns)))
	for _, c := range columns {
		b = append(b, 0)
		b = append(b, c...)
		b = append(b, make([]byte, 9)...)
	}
	return b
}

// insertMessage has a null for each value "null" and an unchanged TOAST for "toast".
func insertMessage(oid uint32, values ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{'I'}, oid)
	b = append(b, 'N')
	b = binary.BigEndian.AppendUint16(b, uint16(len(values)))
	for _, v := range values {
		switch v {
		case "null":
			b = append(b, 'n')
		case "toast":
			b = append(b, 'u')
		default:
			b = binary.BigEndian.AppendUint32(append(b, 't'), uint32(len(v)))
			b = append(b, v...)
		}
	}
	return b
}

const someID = "018f1234-5678-7abc-8def-0123456789ab"

func TestDecode(t *testing.T) {
	t.Parallel()
	d := newDecoder()
	steps := []struct {
		name    string
		message []byte
		kind    eventKind
		key     string
	}{
		{"begin", beginMessage(), eventBegin, ""},
		{"ours", relationMessage(1, "relay", "outbox", "deliver_at", "key", "id"), eventNone, ""},
		{"same name elsewhere", relationMessage(2, "public", "outbox", "id"), eventNone, ""},
		{"ours without an id", relationMessage(3, "relay", "outbox", "key"), eventNone, ""},
		{"columns found by name", insertMessage(1, "null", "k", someID), eventRing, "k"},
		{"no key", insertMessage(1, "null", "null", someID), eventRing, ""},
		{"more columns than described", insertMessage(1, "null", "k", someID, "more"), eventRing, "k"},
		{"another table's row", insertMessage(2, someID), eventNone, ""},
		{"row without an id", insertMessage(3, "k"), eventUnreadable, "k"},
		{"null id", insertMessage(1, "null", "k", "null"), eventUnreadable, "k"},
		{"id that is none", insertMessage(1, "null", "k", "018f"), eventUnreadable, "k"},
		{"unchanged", insertMessage(1, "null", "toast", someID), eventRing, ""},
		{"origin", []byte("O12345678here\x00"), eventNone, ""},
		{"stray stream abort", []byte("A12345678"), eventNone, ""},
		{"unknown", []byte{0xff}, eventNone, ""},
		{"commit", commitMessage(77), eventCommit, ""},
	}
	for _, step := range steps {
		e, err := d.decode(step.message)
		if err != nil || e.kind != step.kind || e.ring.Key != step.key {
			t.Errorf("%s: %+v, error %v", step.name, e, err)
		}
		if e.kind == eventRing && e.ring.ID.String() != someID {
			t.Errorf("%s: id %s", step.name, e.ring.ID)
		}
		if e.kind == eventCommit && (e.end != 77 || !e.at.Equal(time.Date(2000, 1, 1, 0, 0, 1, 0, time.UTC))) {
			t.Errorf("%s: end %s at %s", step.name, e.end, e.at)
		}
	}
}

func TestDecodeRefusesWhatIsMalformed(t *testing.T) {
	t.Parallel()
	relation := relationMessage(1, "relay", "outbox", "id", "key", "deliver_at")
	insert := insertMessage(1, someID, "k", "null")
	for name, whole := range map[string][]byte{"relation": relation, "insert": insert, "commit": commitMessage(1)} {
		for cut := range whole {
			d := newDecoder()
			if name == "insert" {
				if _, err := d.decode(relation); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := d.decode(whole[:cut]); !errors.Is(err, errMalformed) {
				t.Errorf("%s cut to %d bytes: error %v", name, cut, err)
			}
		}
	}
	if _, err := newDecoder().decode(insert); !errors.Is(err, errMalformed) {
		t.Errorf("insert into a relation that was never described: error %v", err)
	}
	negative := append(binary.BigEndian.AppendUint32([]byte{'I'}, 1), 'N', 0, 1, 't', 0xff, 0xff, 0xff, 0xff)
	d := newDecoder()
	if _, err := d.decode(relation); err != nil {
		t.Fatal(err)
	}
	if _, err := d.decode(negative); !errors.Is(err, errMalformed) {
		t.Errorf("negative length: error %v", err)
	}
}

func TestDecodeKeepsNothingOfTheBuffer(t *testing.T) {
	t.Parallel()
	d := newDecoder()
	relation, insert := relationMessage(1, "relay", "outbox", "id", "key"), insertMessage(1, someID, "key")
	if _, err := d.decode(relation); err != nil {
		t.Fatal(err)
	}
	clear(relation)
	e, err := d.decode(insert)
	clear(insert)
	if err != nil || e.ring.Key != "key" || e.ring.ID.String() != someID {
		t.Errorf("ring %+v, error %v", e.ring, err)
	}
}

func TestParseTimestamp(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"2026-01-02 03:04:05+00":         time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2026-01-02 03:04:05.000006+00":  time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		"infinity":                       endOfTime,
		"294276-12-31 23:59:59.99999+00": endOfTime,
		"-infinity":                      {},
		"0044-03-15 12:00:00+00 BC":      {},
		"nonsense":                       {},
	} {
		if got := parseTimestamp(text); !got.Equal(want) {
			t.Errorf("%s is read as %s, want %s", text, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(beginMessage(), commitMessage(1))
	f.Add(relationMessage(1, "relay", "outbox", "id", "key", "deliver_at"), insertMessage(1, someID, "k", "2026-01-02 03:04:05+00"))
	f.Add(relationMessage(1, "relay", "outbox"), insertMessage(1, "null", "toast"))
	f.Add([]byte("A12345678"), []byte{})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		d := newDecoder()
		for _, b := range [][]byte{first, second} {
			e, err := d.decode(b)
			if err != nil && (!errors.Is(err, errMalformed) || e != event{}) {
				t.Errorf("%+v with error %v", e, err)
			}
			if e.kind == eventUnreadable && e.ring.ID != [16]byte{} {
				t.Errorf("an id that is none was kept: %+v", e)
			}
		}
	})
}
