// Package migrated gives the tests of packages a store on a database of their own.
package migrated

import (
	"testing"

	"relay/sql"
	"relay/test/harness"
)

// template is a database that Migrate has prepared.
var template = harness.Template{Make: func(t testing.TB, db *harness.DB) {
	s, err := sql.Open(t.Context(), db.URL, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
}}

// Open returns a store on a fresh database, and the database. Both last as long as the test. The package of the test
// has a TestMain that calls harness.Main.
func Open(t testing.TB) (*sql.Store, *harness.DB) {
	t.Helper()
	db := template.Database(t)
	store, err := sql.Open(t.Context(), db.URL, 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store, db
}
