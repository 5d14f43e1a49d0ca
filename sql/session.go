package sql

import (
	"fmt"
)

// CommonSettings returns the settings of every session that the relay opens, whatever the
// session is for: the pool's, the stream's, the listener's, a migration's, a command's.
//
// The search path holds nothing but what PostgreSQL brings. With any other path a role that
// may create a function in a schema of it can have the relay run the function, since an
// exact match of the arguments' types goes before a polymorphic function of pg_catalog.
func CommonSettings() map[string]string {
	return map[string]string{
		"application_name": "relay",
		"search_path":      "pg_catalog",
		"TimeZone":         "UTC",
		// A database may be read-only by default to keep people from changing it.
		"default_transaction_read_only": "off",
	}
}

// SessionSettings returns the settings of every session of the store, beyond those that are
// common: outcomes are written durably whatever the database's default is, and row level
// security hides nothing silently.
func SessionSettings() map[string]string {
	settings := CommonSettings()
	for name, value := range map[string]string{
		"synchronous_commit":                  "on",
		"row_security":                        "off",
		"jit":                                 "off",
		"statement_timeout":                   fmt.Sprint(statementTimeout.Milliseconds()),
		"idle_in_transaction_session_timeout": fmt.Sprint(idleTimeout.Milliseconds()),
		"lock_timeout":                        "10000",
		// Every statement of the store is a walk along an index, or knows the rows by their
		// keys. The plans that can be wrong are reading a whole table, and sorting what an
		// index has in order; stale statistics make them look cheap.
		"enable_seqscan":    "off",
		"enable_bitmapscan": "off",
		// Hence one plan does for all arguments. By itself PostgreSQL plans a statement with
		// a short array anew each time, which takes longer than to run it.
		"plan_cache_mode": "force_generic_plan",
	} {
		settings[name] = value
	}
	return settings
}
