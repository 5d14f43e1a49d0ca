package cdc

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"

	"relay"
)

// The table that rings, as relation messages name it.
const (
	outboxSchema = "relay"
	outboxTable  = "outbox"
)

// errMalformed marks bytes that are not what the protocol says. The stream is not to be
// trusted from there on; the session ends and starts again at the confirmed position.
var errMalformed = errors.New("malformed replication message")

type eventKind int

// The zero kind is a message that means nothing here: a type or relation
// description, an origin, a table that is not ours, a message of a later protocol.
const (
	eventNone eventKind = iota
	eventBegin
	eventRing
	eventUnreadable // a row of the outbox was inserted, and the stream does not say which
	eventCanary     // the relay's own row was inserted, which is no message
	eventCommit
)

// event is one decoded message. It aliases nothing of the bytes it was decoded from.
type event struct {
	kind eventKind
	ring relay.Ring    // for eventRing and eventCanary
	xid  uint32        // for eventBegin: the transaction
	end  pglogrepl.LSN // for eventCommit: the end of the transaction, the position to confirm
	at   time.Time     // for eventCommit: when it committed, by the server's clock
}

// relation is what a Relation message said about one table: where the columns stand.
type relation struct {
	ours                    bool
	id, key, deliverAt, seq int // index of the column; -1: not published
}

// decoder reads pgoutput, protocol version 1, text format ('Logical Replication Message
// Formats' in the PostgreSQL manual). It never panics, whatever it is given. A new one is
// needed for each session, since the server describes each relation once per session.
type decoder struct {
	relations map[uint32]relation
}

func newDecoder() *decoder {
	return &decoder{relations: make(map[uint32]relation)}
}

// decode reads one message. Messages of unknown kinds are skipped, since servers send some
// that were not asked for (PostgreSQL 18 a stray stream abort).
func (d *decoder) decode(b []byte) (event, error) {
	if len(b) == 0 {
		return event{}, errMalformed
	}
	r := &reader{b: b[1:]}
	var e event
	switch pglogrepl.MessageType(b[0]) {
	case pglogrepl.MessageTypeBegin:
		e = decodeBegin(r)
	case pglogrepl.MessageTypeCommit:
		e = decodeCommit(r)
	case pglogrepl.MessageTypeRelation:
		d.relation(r)
	case pglogrepl.MessageTypeInsert:
		e = d.insert(r)
	}
	if r.short {
		return event{}, errMalformed
	}
	return e, nil
}

func decodeBegin(r *reader) event {
	r.next(16) // LSN of the commit, its time
	return event{kind: eventBegin, xid: r.uint32()}
}

func decodeCommit(r *reader) event {
	r.next(1) // flags, unused
	r.next(8) // LSN of the commit record: confirming it would replay the transaction
	end := pglogrepl.LSN(r.uint64())
	return event{kind: eventCommit, end: end, at: postgresTime(r.uint64())}
}

// postgresTime reads microseconds since the year 2000.
func postgresTime(micros uint64) time.Time {
	const epoch = 946684800 * 1000000
	return time.UnixMicro(epoch + int64(micros))
}

func (d *decoder) relation(r *reader) {
	oid := r.uint32()
	schema, table := r.text(), r.text()
	r.next(1) // replica identity
	rel := relation{ours: schema == outboxSchema && table == outboxTable, id: -1, key: -1, deliverAt: -1, seq: -1}
	for i := range int(r.uint16()) {
		r.next(1) // flags
		name := r.text()
		r.next(8) // type and its modifier
		switch name {
		case "id":
			rel.id = i
		case "key":
			rel.key = i
		case "deliver_at":
			rel.deliverAt = i
		case "seq":
			rel.seq = i
		}
		if r.short {
			return
		}
	}
	d.relations[oid] = rel
}

func (d *decoder) insert(r *reader) event {
	rel, known := d.relations[r.uint32()]
	newTuple := r.next(1)
	if r.short || newTuple[0] != 'N' || !known {
		r.short = true
		return event{}
	}
	if !rel.ours {
		return event{}
	}
	e := event{kind: eventUnreadable}
	for i := range int(r.uint16()) {
		value, present := r.column()
		if r.short {
			return event{}
		}
		if present {
			rel.take(&e, i, value)
		}
	}
	if e.kind == eventRing && isCanary(e.ring) {
		e.kind = eventCanary
	}
	return e
}

// take puts one column's value into the ring, if it is a column that a ring has.
func (rel relation) take(e *event, column int, value []byte) {
	switch column {
	case rel.id:
		if id, ok := parseUUID(value); ok {
			e.ring.ID = id
			e.kind = eventRing
		}
	case rel.key:
		e.ring.Key = string(value)
	case rel.deliverAt:
		e.ring.DeliverAt = parseTimestamp(string(value))
	case rel.seq:
		e.ring.Seq, _ = strconv.ParseInt(string(value), 10, 64) // zero: it is not known
	}
}

// parseUUID reads PostgreSQL's text form of a uuid without making a string of it.
func parseUUID(b []byte) (relay.ID, bool) {
	var id relay.ID
	if len(b) != 36 || b[8] != '-' || b[13] != '-' || b[18] != '-' || b[23] != '-' {
		return id, false
	}
	var digits [32]byte
	n := copy(digits[:], b[:8])
	n += copy(digits[n:], b[9:13])
	n += copy(digits[n:], b[14:18])
	n += copy(digits[n:], b[19:23])
	copy(digits[n:], b[24:])
	_, err := hex.Decode(id[:], digits[:])
	return id, err == nil
}

// endOfTime stands for 'infinity': a message that is never due.
var endOfTime = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// parseTimestamp reads a timestamptz as written under DateStyle ISO and time zone UTC,
// which the session sets. What it cannot read (-infinity, years BC) counts as due at
// once: the row is read before it is sent, so the worst is one read too many.
func parseTimestamp(s string) time.Time {
	if s == "infinity" {
		return endOfTime
	}
	t, err := time.Parse("2006-01-02 15:04:05.999999Z07", s)
	if err == nil {
		return t.UTC()
	}
	text, _, _ := strings.Cut(s, "-")
	if year, err := strconv.Atoi(text); err == nil && year > endOfTime.Year() && !strings.HasSuffix(s, " BC") {
		return endOfTime
	}
	return time.Time{}
}

// reader takes fields off a message. Once anything is missing it stays short and
// returns zeroes, so that the caller looks once, at the end.
type reader struct {
	b     []byte
	short bool
}

// next returns the next n bytes, or nil if there are fewer.
func (r *reader) next(n int) []byte {
	if r.short || n < 0 || n > len(r.b) {
		r.short = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) uint16() uint16 {
	if b := r.next(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.next(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.next(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// text reads a string that ends with a NUL.
func (r *reader) text() string {
	end := bytes.IndexByte(r.b, 0)
	if r.short || end < 0 {
		r.short = true
		return ""
	}
	return string(r.next(end + 1)[:end])
}

// column reads one value of a tuple; present is false for null and for an unchanged
// TOAST value.
func (r *reader) column() (value []byte, present bool) {
	kind := r.next(1)
	if r.short {
		return nil, false
	}
	switch kind[0] {
	case 'n', 'u':
		return nil, false
	case 't', 'b':
		value = r.next(int(int32(r.uint32())))
		return value, !r.short
	}
	r.short = true
	return nil, false
}
