package cdc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"relay/sql"
)

// SQLSTATEs that mean something of their own here (PostgreSQL manual, appendix A).
const (
	codeUnsupported      = "08P01"
	codeReadOnly         = "25006"
	codeNoPrivilege      = "42501"
	codeUndefinedObject  = "42704" // of a slot and of a publication alike
	codeDuplicateObject  = "42710"
	codeTooMany          = "53300" // connections or WAL senders
	codeTooManySlots     = "53400"
	codeInUse            = "55006"
	codeLockTimeout      = "55P03"
	codeCannotConnectNow = "57P03"
)

// trouble is a reason for having no stream that a person can do something about.
type trouble struct {
	why  string // what is the matter
	mend string // the command that mends it
}

// Error returns both in one line.
func (t *trouble) Error() string { return t.why + "; to mend it: " + t.mend }

// errStopping says that the server is shutting down and waits for us to leave.
var errStopping = errors.New("the server is shutting down")

// errSilent says that the server did not answer although asked to, so that the connection
// is half open.
var errSilent = errors.New("the server has fallen silent on the replication connection")

// sqlstate returns the SQLSTATE of err, or "" if it is not the server's.
func sqlstate(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// explain says in one line why there is no stream and, where there is one, which command
// mends it. It holds no secret: pgconn's errors name host, user and database alone.
func explain(err error) string {
	var known *trouble
	if errors.As(err, &known) {
		return known.Error()
	}
	err = sql.ExplainPooler(err)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the replication connection"
	case errors.Is(err, context.DeadlineExceeded):
		return oneLine(fmt.Errorf("timed out: %w", err))
	}
	return oneLine(err)
}

// oneLine returns the error's text on one line: pgconn lists several hosts on several.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// explain turns what a replication connection of a role was refused for into trouble.
func (v server) explain(err error, role string) error {
	switch sqlstate(err) {
	case codeNoPrivilege:
		why := fmt.Sprintf("role %q has no replication right", role)
		if v.by != "" {
			why += ", although it is a member of " + v.by
		}
		return &trouble{why: why, mend: v.provider.MendReplication(role, v.by)}
	case codeTooMany:
		return &trouble{
			why:  fmt.Sprintf("no WAL sender or connection is free (max_wal_senders is %s)", v.senders),
			mend: v.provider.MendSetting("max_wal_senders", twice(v.senders), true),
		}
	case codeUnsupported:
		return &trouble{
			why:  "the address leads to a connection pooler, which cannot carry replication",
			mend: "set RELAY_DATABASE_URL to the server's own address and port, or RELAY_CAPTURE=notify",
		}
	}
	return err
}

// twice proposes a larger value for a setting that turned out too small.
func twice(setting string) string {
	n, err := strconv.Atoi(setting)
	if err != nil || n < 5 {
		return "10"
	}
	return strconv.Itoa(2 * n)
}
