package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Unfit says that the relay cannot work with a database, or at the address that leads to it,
// and never will unless a person changes something.
type Unfit struct {
	Why  string // what is the matter
	Mend string // the command that mends it, or what to do
}

// Error returns both in one line.
func (u *Unfit) Error() string { return u.Why + "; to mend it: " + u.Mend }

// UnfitEncoding says whether messages can be stored in a database of an encoding. Nil: they
// can. What the relay writes, such as the answer of an endpoint, is any Unicode text, which
// no other encoding holds. SQL_ASCII holds all bytes.
func UnfitEncoding(database, encoding string) *Unfit {
	if encoding == "UTF8" || encoding == "SQL_ASCII" {
		return nil
	}
	return &Unfit{
		Why:  fmt.Sprintf("the encoding of database %q is %s, which cannot hold all Unicode text, and the relay needs UTF8", database, encoding),
		Mend: "create database … encoding 'UTF8' template template0, move the data there by pg_dump and pg_restore, and set RELAY_DATABASE_URL to it",
	}
}

// refuseEncoding fails if messages cannot be stored in the database.
func refuseEncoding(ctx context.Context, on querying) error {
	const statement = "select current_database()::text, pg_encoding_to_char(encoding)::text from pg_database where datname = current_database()"
	rows, err := on.Query(ctx, statement)
	if err != nil {
		return fmt.Errorf("read the database's encoding: %w", err)
	}
	d, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[struct{ Name, Encoding string }])
	if err != nil {
		return fmt.Errorf("read the database's encoding: %w", err)
	}
	if unfit := UnfitEncoding(d.Name, d.Encoding); unfit != nil {
		return unfit
	}
	return nil
}
