package main

import (
	"context"

	"relay/sql"
)

// checkIdentity looks whether the database is a copy of the one whose messages relays deliver.
func (d *doctor) checkIdentity(ctx context.Context, examiner *sql.Examiner, server sql.ServerFacts) {
	i, err := examiner.Identity(ctx)
	switch copied := i.Err(); {
	case err != nil:
		d.failed("identity", err)
	case copied != nil && d.config.Adopt == AdoptAuto:
		d.warn("identity", "relay run (it adopts the copy when it starts)", "this database (%s) is a copy of another one (%s), and RELAY_ADOPT is auto", i.Actual, i.Stored)
	case copied != nil:
		d.fail("identity", "relay adopt; or relay adopt --cancel-outstanding, which sends only what is inserted from now on", "this database (%s) is a copy of another one (%s): nothing is sent from here", i.Actual, i.Stored)
	case i.Actual.System == 0:
		d.warn("identity", "grant execute on function pg_catalog.pg_control_system() to "+identifier(server.Role)+", as a superuser",
			"%s may not ask for the server's identifier: a copy that keeps the oid of its database sends production's messages", identifier(server.Role))
	case i.Stored.Database == 0:
		d.ok("identity", "no relay has run yet: the first one makes this database (%s) its own", i.Actual)
	default:
		d.ok("identity", "%s, which is no copy", i.Actual)
	}
}
