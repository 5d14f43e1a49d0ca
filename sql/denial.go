package sql

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// denial puts into words what keeps a role from looking at messages, or from changing them.
func denial(err error) error {
	var pg *pgconn.PgError
	switch {
	case !errors.As(err, &pg):
		return err
	case NotMigrated(err):
		return denied{fmt.Sprintf("the tables of the schema relay are not there: run relay migrate (SQLSTATE %s)", pg.Code), err}
	case Denied(err):
		return denied{fmt.Sprintf("this role may not: use the relay's own role (SQLSTATE %s)", pg.Code), err}
	}
	return err
}

// Denied reports whether err means that the role lacks a privilege.
func Denied(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42501"
}

// denied is an error in other words.
type denied struct {
	words string
	err   error
}

func (d denied) Error() string { return d.words }

func (d denied) Unwrap() error { return d.err }
