package operate

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"relay/sql"
)

// Code names a kind of failure. The codes are stable: programs may compare them.
type Code string

// These are the codes.
const (
	CodeInvalid        Code = "invalid"         // a value makes no sense; Field names it
	CodeNoMessage      Code = "no_message"      // there is no such message
	CodeNoSubscription Code = "no_subscription" // there is no such subscription
	CodeNoKey          Code = "no_key"          // the key does not wait at the subscription
	CodeNoJob          Code = "no_job"          // there is no such job, or none that could be stopped or resumed
	CodeExists         Code = "exists"          // there is a message with this id already
	CodeOutstanding    Code = "outstanding"     // deliveries have not ended
	CodeVersion        Code = "version_changed" // the subscription was changed since the version that was given
	CodeOtherRequest   Code = "key_reused"      // the idempotency key was used for another request
	CodeTooLarge       Code = "too_large"       // the payload has more bytes than were allowed
	CodeLocked         Code = "locked"          // another session holds the rows; a second try may succeed
	CodeSearchLimit    Code = "search_limit"    // the search reached its limit before it found anything
	CodeNotMigrated    Code = "not_migrated"    // the schema is missing or old
	CodeDenied         Code = "denied"          // the database role may not
	CodeUnavailable    Code = "unavailable"     // the database does not answer
	CodeInternal       Code = "internal"        // anything else
)

// Error is a request that was refused or failed, in words for people. Its text names no value that could be a secret.
type Error struct {
	Code  Code
	Field string // of the request, as its JSON names it; empty: none in particular
	Text  string
	cause error
}

// Error returns the text, after the field that it is about.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Text
	}
	return e.Field + ": " + e.Text
}

// Unwrap returns the error that is told in other words; nil: none.
func (e *Error) Unwrap() error { return e.cause }

// invalid refuses the value of a field.
func invalid(field, format string, values ...any) *Error {
	return &Error{Code: CodeInvalid, Field: field, Text: fmt.Sprintf(format, values...)}
}

// refused is an error with a code, told in words.
func refused(code Code, cause error, format string, values ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, values...), cause: cause}
}

// CodeOf classifies any error that a service returns.
func CodeOf(err error) Code {
	var own *Error
	switch {
	case errors.As(err, &own):
		return own.Code
	case errors.Is(err, sql.ErrGone):
		return CodeNoMessage
	case errors.Is(err, sql.ErrNoSubscription):
		return CodeNoSubscription
	case errors.Is(err, sql.ErrNoJob):
		return CodeNoJob
	case errors.Is(err, sql.ErrVersion):
		return CodeVersion
	case errors.Is(err, sql.ErrOtherRequest):
		return CodeOtherRequest
	case errors.Is(err, sql.ErrTooLarge):
		return CodeTooLarge
	case errors.Is(err, sql.ErrCursor):
		return CodeInvalid
	case errors.Is(err, sql.ErrOutstanding):
		return CodeOutstanding
	case stateOf(err) == "57014" && !errors.Is(err, context.Canceled):
		return CodeSearchLimit
	case stateOf(err) == "55P03":
		return CodeLocked
	case sql.NotMigrated(err):
		return CodeNotMigrated
	case sql.Denied(err):
		return CodeDenied
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), sql.Unreachable(err):
		return CodeUnavailable
	}
	return CodeInternal
}

// stateOf is the SQLSTATE of an error of the server; empty: it is none.
func stateOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// refusedInsert is an error of an INSERT of a message, told in words.
func refusedInsert(err error) error {
	var no sql.RefusedMessage
	if !errors.As(err, &no) {
		return err
	}
	code := CodeInvalid
	switch no.SQLState {
	case "23505":
		code = CodeExists
	case "42501":
		code = CodeDenied
	case "42P01":
		code = CodeNotMigrated
	}
	return &Error{Code: code, Text: no.Why, cause: err}
}
