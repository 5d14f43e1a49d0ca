// Package sql is the store: the migrations, embedded, and every statement that runs over
// the connection pool. Statements stand in constants beside the method that runs them,
// one file for each concern.
//
// The table relay.outbox is shaped like a queue, and planners misjudge queues: statistics
// are stale as soon as they are taken. Hot statements therefore reach rows by primary key
// through lateral subqueries, whose plan does not depend on them.
package sql
