// Package relay is the vocabulary of the transactional outbox relay: messages,
// subscribers, deliveries, outcomes and the words that stand in its tables.
//
// An application inserts a row into relay.outbox in a transaction of its own.
// That row is a [Message]. Routing fixes its [Subscriber]s; each pair of message
// and subscriber is a [Delivery], which is tried until it has an [Outcome] that
// ends it. The package imports the standard library alone; the folders beside it
// each hold one technology or one part of the path.
package relay

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// ID identifies a message: a UUID (RFC 9562), the same on every attempt. The zero
// value is the nil UUID, which no message made by the table's default has.
type ID [16]byte

// String returns the canonical lower-case form with hyphens.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:36], id[10:16])
	return string(b[:])
}

// MarshalText writes the canonical form, which JSON has then.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the canonical form.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// ParseID reads the canonical form, in either case. Any other form is an error.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, fmt.Errorf("message id %q is not a UUID", s)
	}
	digits := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return ID{}, fmt.Errorf("message id %q is not a UUID", s)
	}
	return id, nil
}

// NewID returns a time-ordered UUID, version 7 of RFC 9562.
func NewID() ID {
	var id ID
	rand.Read(id[6:])
	ms := time.Now().UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Message is one row of relay.outbox as it was read just before sending.
type Message struct {
	ID    ID
	Seq   int64 // order of insertion; not an identity: PostgreSQL may give it again after a crash
	Shard int16 // 0 to Shards-1
	Topic string
	// Key orders messages per subscriber. Empty means that the message has no order.
	Key string
	// Body is what is sent, byte for byte: the row's payload or its body. It may be empty.
	Body        []byte
	ContentType string
	// Headers is the row's jsonb as stored; ParseHeaders judges it.
	Headers []byte
	// Source is the sending service. Empty means the relay's own source (RELAY_SOURCE).
	Source string
	// Destination is the row's own target or the name of a subscription. Empty means that the
	// message is routed by its topic.
	Destination string
	// DeliverAt is the earliest time of delivery. Zero means at once, or never ('infinity').
	DeliverAt time.Time
	CreatedAt time.Time
}

// Due returns the time from which the message counts as waiting: its deliver_at, but not
// before its creation.
func (m *Message) Due() time.Time {
	if m.DeliverAt.After(m.CreatedAt) {
		return m.DeliverAt
	}
	return m.CreatedAt
}

// Size returns the bytes of what an application gives without a fixed bound: body, headers,
// source and destination.
func (m *Message) Size() int64 {
	return int64(len(m.Body) + len(m.Headers) + len(m.Source) + len(m.Destination))
}

// Ring says that a row exists and nothing else; it is the doorbell's message. What the row holds,
// and whether it is still due, is always read from the table.
type Ring struct {
	ID  ID
	Key string // empty: no order
	// Seq is the row's order of insertion. Zero means that it is not known.
	Seq int64
	// DeliverAt is set for a delayed message, which is left to the due timer.
	DeliverAt time.Time
	// Xid is the transaction that inserted the row: the lower 32 bits of its id, as the stream
	// tells them. Zero means that something else than the stream found the row, which was visible
	// then.
	Xid uint32
}
