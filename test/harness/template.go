package harness

import (
	"sync"
	"testing"
)

// Template is a database on the shared PostgreSQL 15 server that is made once in a test process. Each test that asks
// for it has a copy, which costs a fraction of what migrations do.
type Template struct {
	// Make fills the database, which is empty, and leaves no connection to it open.
	Make func(testing.TB, *DB)

	once sync.Once
	made *DB
}

// Database makes a copy, and drops it at the end as Database of the package does.
func (p *Template) Database(t testing.TB) *DB {
	t.Helper()
	p.once.Do(func() {
		db := newDatabase(t, sharedPostgres(t, sharedMajor), "")
		p.Make(t, db)
		p.made = db
	})
	if p.made == nil {
		t.Fatal("harness: the template was not made: another test tells why")
	}
	return shared(t, sharedMajor, " template "+p.made.Name)
}
