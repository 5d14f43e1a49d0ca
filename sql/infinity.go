package sql

import (
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// What stands for 'infinity' and '-infinity' where a time is read, and for what lies beyond:
// Go's times have no infinity, and JSON has the years 0 to 9999 alone. The zero time is not
// among them, since it means that there is no time.
var (
	endOfTime   = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	startOfTime = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)
)

var errNullTime = errors.New("cannot scan NULL into *time.Time")

// readInfinity lets a connection read the infinite times that a row may hold. Without it one
// such row fails the whole statement.
func readInfinity(conn *pgx.Conn) {
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &timeCodec{}})
}

// timeCodec is the driver's codec of timestamptz, but for what is read into a time.
type timeCodec struct{ pgtype.TimestamptzCodec }

// PlanScan implements pgtype.Codec.
func (c *timeCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, ok := target.(*time.Time); !ok {
		return c.TimestamptzCodec.PlanScan(m, oid, format, target)
	}
	return scanTime{c.TimestamptzCodec.PlanScan(m, oid, format, &pgtype.Timestamptz{})}
}

// scanTime reads a time by the driver's own plan for a Timestamptz.
type scanTime struct{ inner pgtype.ScanPlan }

// Scan implements pgtype.ScanPlan.
func (s scanTime) Scan(src []byte, target any) error {
	var t pgtype.Timestamptz
	if err := s.inner.Scan(src, &t); err != nil {
		return err
	}
	to := target.(*time.Time)
	switch {
	case !t.Valid:
		return errNullTime
	case t.InfinityModifier == pgtype.Infinity, t.Time.After(endOfTime):
		*to = endOfTime
	case t.InfinityModifier == pgtype.NegativeInfinity, t.Time.Before(startOfTime):
		*to = startOfTime
	default:
		*to = t.Time
	}
	return nil
}
