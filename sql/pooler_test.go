package sql

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// What a pooler's change of sessions looks like later on is put into words, and nothing else is.
func TestErrorsOfAPoolerAreExplained(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{"42P05": true, "26000": true, "08P01": true, "42P01": false, "57P01": false} {
		err := ExplainPooler(fmt.Errorf("read messages: %w", &pgconn.PgError{Code: code, Message: "m"}))
		var unfit *Unfit
		if errors.As(err, &unfit) != want || want && unfit.Mend != OwnAddress {
			t.Errorf("%s: %v", code, err)
		}
	}
	for message, want := range map[string]bool{
		"server login has been failing, cached error: connect failed (server_login_retry)": false,
		"query_wait_timeout":                                                             false,
		"no more connections allowed (max_client_conn)":                                  false,
		"pgbouncer cannot connect to server":                                             false,
		"the database system is shutting down":                                           false,
		`too many connections for role "relay"`:                                          false,
		"sorry, too many clients already":                                                false,
		"remaining connection slots are reserved for roles with the SUPERUSER attribute": false,
		"the database system is starting up":                                             false,
		"no such database: shop":                                                         true,
		"unsupported startup parameter: options":                                         true,
	} {
		err := ExplainPooler(fmt.Errorf("connect: %w", &pgconn.PgError{Code: "08P01", Message: message}))
		if errors.As(err, new(*Unfit)) != want {
			t.Errorf("%s: %v", message, err)
		}
	}
	if ExplainPooler(nil) != nil {
		t.Error("no error is one")
	}
}
