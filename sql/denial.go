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
		return fmt.Errorf("the tables of the schema relay are not there: run relay migrate (SQLSTATE %s)", pg.Code)
	case pg.Code == "42501":
		return fmt.Errorf("this role may not: use the relay's own role (SQLSTATE %s)", pg.Code)
	}
	return err
}
