package sql_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"relay/sql"
	"relay/test/harness"
)

func TestAFailedConnectionIsToldOnceAndInWords(t *testing.T) {
	t.Parallel()
	free := harness.FreeAddress(t)
	db := harness.Database(t)
	_, port, _ := net.SplitHostPort(free)
	for url, want := range map[string]string{
		"postgres://u:hunter2@" + free + "/shop":                 `user "u" cannot connect to database "shop" at ` + free + `: connection refused`,
		"postgres://u:hunter2@localhost:" + port + "/shop":       `at localhost:` + port + `: connection refused`,
		"postgres://u:hunter2@nowhere.invalid/shop":              `at nowhere.invalid:5432: the host name nowhere.invalid does not resolve`,
		strings.Replace(db.URL, "/"+db.Name, "/not_"+db.Name, 1): `"not_` + db.Name + `" does not exist (SQLSTATE 3D000)`,
	} {
		_, err := sql.Open(t.Context(), url, 2)
		told := sql.Plain(err)
		if told == nil || !strings.Contains(told.Error(), want) || strings.Contains(told.Error(), "\n") || strings.Contains(told.Error(), "hunter2") ||
			strings.Contains(told.Error(), "dial") || strings.Contains(told.Error(), "failed to connect") {
			t.Errorf("%v\nwant %s", told, want)
		}
		if !errors.As(told, new(*pgconn.ConnectError)) {
			t.Errorf("%v is no error of a connection any more", told)
		}
	}
	other := errors.New("other")
	if sql.Plain(other) != other || sql.Plain(nil) != nil {
		t.Error("another error was changed")
	}
}
