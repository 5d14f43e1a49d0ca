package main

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// The relay ended at its start while a server's disk was full: the server said XX000, "could not write init file".
func TestTheStartWaitsForWhatMayPass(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"08006": true,  // the connection failed
		"40P01": true,  // deadlock
		"53100": true,  // the disk is full
		"53300": true,  // too many connections
		"25006": true,  // a standby, which may become the primary
		"25P03": true,  // idle in a transaction for too long
		"25P04": true,  // a transaction that took too long
		"57P03": true,  // starting up
		"58030": true,  // input and output
		"XX000": true,  // could not write init file
		"28P01": false, // wrong password
		"3D000": false, // no such database
		"42501": false, // no privilege
		"":      false,
	} {
		if got := worthWaiting(fmt.Errorf("migrate: %w", &pgconn.PgError{Code: code})); got != want {
			t.Errorf("SQLSTATE %q: worth waiting %t, want %t", code, got, want)
		}
	}
}
