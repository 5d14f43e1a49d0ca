package sql

import (
	"fmt"
	"maps"
)

// CommonSettings returns the settings of every session that the relay opens, whatever the
// session is for: the pool's, the stream's, the listener's, a migration's, a command's. They
// hold whatever the role or the database has set; transaction_timeout, which servers before
// 17 do not know, is set by Settle.
//
// The search path holds nothing but what PostgreSQL brings. With any other path a role that
// may create a function in a schema of it can have the relay run the function, since an
// exact match of the arguments' types goes before a polymorphic function of pg_catalog.
func CommonSettings() map[string]string {
	return map[string]string{
		"application_name": "relay",
		"search_path":      "pg_catalog",
		// How the server reads our statements and writes its answers.
		"client_encoding":             "UTF8",
		"standard_conforming_strings": "on",
		"array_nulls":                 "on",
		"transform_null_equals":       "off",
		"bytea_output":                "hex",
		"DateStyle":                   "ISO, MDY",
		"IntervalStyle":               "postgres",
		"TimeZone":                    "UTC",
		"extra_float_digits":          "1",
		"client_min_messages":         "notice",
		"quote_all_identifiers":       "off",
		"plpgsql.extra_errors":        "none",
		// What a transaction is. An error ends a statement, not the session.
		"default_transaction_read_only":  "off",
		"default_transaction_isolation":  "read committed",
		"default_transaction_deferrable": "off",
		"exit_on_error":                  "off",
		// Without cheap plans PostgreSQL compiles even statements that take a moment.
		"enable_seqscan":       "on",
		"enable_bitmapscan":    "on",
		"enable_indexscan":     "on",
		"enable_indexonlyscan": "on",
		"enable_nestloop":      "on",
		"enable_sort":          "on",
		"enable_hashagg":       "on",
		"enable_material":      "on",
		"jit":                  "off",
		// A session may wait, for news or in a pool, as long as it likes. Sessions that
		// need limits set their own.
		"statement_timeout":                   "0",
		"lock_timeout":                        "0",
		"idle_in_transaction_session_timeout": "0",
		"idle_session_timeout":                "0",
		"tcp_user_timeout":                    "0",
	}
}

// SessionSettings returns the settings of every session of the store, beyond those that are
// common: outcomes are written durably whatever the database's default is, and row level
// security hides nothing silently.
func SessionSettings() map[string]string {
	settings := CommonSettings()
	maps.Copy(settings, map[string]string{
		"synchronous_commit":                  "on",
		"row_security":                        "off",
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
	})
	return settings
}
