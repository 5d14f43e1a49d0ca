package sql

import (
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs that tell of waiting rather than of what was asked for.
const (
	stateLocked   = "55P03" // lock_timeout
	stateCanceled = "57014" // statement_timeout, or a person
)

// AboutTheServer reports whether an error concerns the server or the connection rather than what was asked for: no
// answer, the end of the session, no disk or memory left. To ask for less is of no use then.
func AboutTheServer(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		var scan pgx.ScanArgError
		return !errors.As(err, &scan)
	}
	if pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC" {
		return true
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "53", "58": // out of disk, memory or the like; input and output
		return true
	}
	return false
}

// Unreachable reports whether an error says that the database cannot be reached, or cannot work at present.
func Unreachable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return AboutTheServer(err)
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// LostConnection reports whether an error is the end of a connection. The server may have ended it because of what
// was asked for.
func LostConnection(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return AboutTheServer(err)
	}
	return pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC"
}

var plpgsqlFunction = regexp.MustCompile(`PL/pgSQL function ([^\s(]+)\(`)

// Refusal says in one line why PostgreSQL refused a statement. It names no value that was refused, nor what a
// trigger says of its own: either may be a secret.
func Refusal(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return "it could not be read or written"
	}
	switch pg.Code {
	case stateLocked:
		return fmt.Sprintf("another session has locked a row of it (SQLSTATE %s)", pg.Code)
	case stateCanceled:
		return fmt.Sprintf("PostgreSQL did not finish it in time%s (SQLSTATE %s)", inFunction(pg), pg.Code)
	}
	text := "PostgreSQL refused it with SQLSTATE " + pg.Code
	if pg.ConstraintName != "" {
		text += fmt.Sprintf(" (constraint %s)", pg.ConstraintName)
	}
	return text + inFunction(pg)
}

// inFunction names the function, such as a trigger's, in which a statement failed.
func inFunction(pg *pgconn.PgError) string {
	if found := plpgsqlFunction.FindStringSubmatch(pg.Where); found != nil {
		return " in function " + found[1]
	}
	return ""
}
