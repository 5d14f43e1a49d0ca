package sql

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// A parameter that a server refuses is the URL's, or one of the relay's own that an old server does not know. No other
// error is taken for either.
func TestRefusedParametersAreExplained(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ code, message, why, mend string }{
		{"42704", `unrecognized configuration parameter "wibble"`, "neither the relay nor PostgreSQL knows", "remove it from RELAY_DATABASE_URL"},
		{"42704", `unrecognized configuration parameter "idle_session_timeout"`, "does not know a setting", "upgrade the server"},
		{"22023", `invalid value for parameter "work_mem": "much"`, "PostgreSQL refuses", "remove it from RELAY_DATABASE_URL"},
		{"55P02", `parameter "wal_level" cannot be changed without restarting the server`, "PostgreSQL refuses", "remove it from RELAY_DATABASE_URL"},
		{"42501", `permission denied to set parameter "log_statement"`, "PostgreSQL refuses", "remove it from RELAY_DATABASE_URL"},
		{"42501", `permission denied for database "shop"`, "permission denied", ""},
		{"28P01", `password authentication failed`, "password", ""},
	} {
		_, err := readjust(context.Background(), &pgconn.Config{}, fmt.Errorf("connect: %w", &pgconn.PgError{Code: c.code, Message: c.message}))
		unfit, isUnfit := err.(*Unfit)
		if !strings.Contains(err.Error(), c.why) || isUnfit != (c.mend != "") || isUnfit && !strings.Contains(unfit.Mend, c.mend) {
			t.Errorf("%s %s: %v", c.code, c.message, err)
		}
	}
}
