package sql

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"relay"
)

// Cursor says where a list goes on: whatever the last page returned as Next. Its text means nothing to
// a reader. Empty: at the beginning.
type Cursor string

// ErrCursor says that a cursor is none that this list has returned with this filter.
var ErrCursor = errors.New("the cursor does not belong to this list")

// walk is the order in which a list goes through its rows.
type walk byte

const (
	byTime walk = 't' // created_at and seq descend
	bySeq  walk = 's' // seq and id descend, among the rows of one key or one subscription
	byID   walk = 'i' // id descends
)

// position is where a walk has come to: the row that was looked at last.
type position struct {
	created time.Time // zero: before all times, or after them, as the walk needs it
	seq     int64
	id      relay.ID
}

// start is the place before the first row of a walk that descends.
var start = position{created: endOfTime, seq: math.MaxInt64, id: relay.ID{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}

// cursorSize is that of a cursor's bytes: the walk, the microseconds since 1970, seq and id.
const cursorSize = 1 + 8 + 8 + 16

// at makes the cursor of a place.
func (w walk) at(p position) Cursor {
	b := make([]byte, 0, cursorSize)
	b = append(b, byte(w))
	b = binary.BigEndian.AppendUint64(b, uint64(p.created.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, uint64(p.seq))
	b = append(b, p.id[:]...)
	return Cursor(base64.RawURLEncoding.EncodeToString(b))
}

// from reads a cursor of this walk.
func (w walk) from(c Cursor) (position, error) {
	if c == "" {
		return start, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(string(c))
	if err != nil || len(b) != cursorSize || walk(b[0]) != w {
		return position{}, fmt.Errorf("%w: begin again without it", ErrCursor)
	}
	p := position{created: time.UnixMicro(int64(binary.BigEndian.Uint64(b[1:9]))).UTC(), seq: int64(binary.BigEndian.Uint64(b[9:17]))}
	copy(p.id[:], b[17:])
	if p.created.Before(startOfTime) || p.created.After(endOfTime) {
		return position{}, fmt.Errorf("%w: begin again without it", ErrCursor)
	}
	return p, nil
}
