package sql

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// MendStandby is what helps where the address leads to a standby.
const MendStandby = "set RELAY_DATABASE_URL to the primary; or add target_session_attrs=read-write and all hosts"

// errStandby says so.
var errStandby = errors.New("the server is a standby, on which nothing can be changed; to mend it: " + MendStandby)

// OnStandby reports whether an error says that the server is a standby. The relay's own sessions are never read-only
// for another reason.
func OnStandby(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, errStandby) || errors.As(err, &pg) && (pg.Code == "25006" || pg.Code == "55000" && strings.Contains(pg.Message, "recovery"))
}

// ExplainStandby returns err in words that help where it comes of a standby, which may become the primary. Any other
// error is returned as it is.
func ExplainStandby(err error) error {
	if !OnStandby(err) || errors.Is(err, errStandby) {
		return err
	}
	return fmt.Errorf("%w: %w", errStandby, err)
}
