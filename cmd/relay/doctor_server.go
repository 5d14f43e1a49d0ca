package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relay/cdc"
	"relay/sql"
)

// The versions of PostgreSQL that the relay is tested on.
const (
	oldestServer = 15
	newestServer = 18
)

// Differences of the clocks that are worth a word, and that break receivers: Standard
// Webhooks lets them refuse what is five minutes off.
const (
	clockWarn = time.Second
	clockFail = 2 * time.Minute
)

// mendConnect says what helps against a connection that was refused.
func mendConnect(err error) string {
	var pg *pgconn.PgError
	var unfit *sql.Unfit
	if errors.As(err, &unfit) {
		return unfit.Mend
	}
	if !errors.As(err, &pg) {
		return "start the server; or set RELAY_DATABASE_URL to where it is"
	}
	switch pg.Code {
	case "28P01", "28000":
		return "set user and password in RELAY_DATABASE_URL; or let pg_hba.conf admit them; or create role relay login replication password 'SECRET', if there is no such role"
	case "3D000":
		return "set the database in RELAY_DATABASE_URL to the application's"
	case "53300":
		return "alter system set max_connections = 200, then restart the server; or close connections that are not needed"
	case "57P03":
		return "wait until the server has started"
	case "08P01": // of a pooler that waits for its server
		return "start the server behind the pooler; or " + sql.EnoughSessions
	}
	return "set RELAY_DATABASE_URL to a database that admits the relay"
}

func (d *doctor) checkServer(f sql.ServerFacts) {
	what := fmt.Sprintf("PostgreSQL %s, database %q as role %q", f.Version, f.Database, f.Role)
	switch major := f.VersionNumber / 10000; {
	case f.Standby:
		d.fail("database", sql.MendStandby, "%s: it is a standby", what)
	case major < oldestServer:
		d.fail("database", fmt.Sprintf("upgrade the server to %d or later", oldestServer), "%s is too old", what)
	case major > newestServer:
		d.warn("database", "look for a newer relay", "%s is newer than this relay knows", what)
	default:
		d.ok("database", "%s", what)
	}
	d.checkEncoding(f)
	d.checkClock(f)
	d.checkDurability(f)
}

func (d *doctor) checkEncoding(f sql.ServerFacts) {
	unfit := sql.UnfitEncoding(f.Database, f.Encoding)
	switch {
	case unfit != nil:
		d.fail("encoding", unfit.Mend, "%s", unfit.Why)
	case f.Encoding != "UTF8":
		d.warn("encoding", "write valid UTF-8 alone; in the long run, move to a database of encoding 'UTF8'",
			"it is %s, with which the server takes any bytes for text: a message whose text is not UTF-8 cannot be read, and waits", f.Encoding)
	default:
		d.ok("encoding", "%s", f.Encoding)
	}
}

func (d *doctor) checkClock(f sql.ServerFacts) {
	const mend = "timedatectl set-ntp true, on the host whose clock is wrong"
	off := (f.Ahead.Abs() - f.Within/2).Round(time.Millisecond)
	direction := "ahead of"
	if f.Ahead < 0 {
		direction = "behind"
	}
	switch {
	case off > clockFail:
		d.fail("clock", mend, "the database's is %s %s this machine's: receivers refuse signatures that are minutes off", off, direction)
	case off > clockWarn:
		d.warn("clock", mend, "the database's is %s %s this machine's", off, direction)
	default:
		d.ok("clock", "the database's and this machine's agree to within %s", max(f.Within, f.Ahead.Abs()).Round(time.Millisecond))
	}
}

// checkDurability tells what may happen to committed rows in a crash of the server.
func (d *doctor) checkDurability(f sql.ServerFacts) {
	if f.Fsync != "on" {
		d.warn("durability", f.Provider.MendSetting("fsync", "on", false), "fsync is off: a crash of the machine loses committed rows")
	}
	for _, holder := range f.Async {
		d.warn("durability", reset(holder, "synchronous_commit"),
			"synchronous_commit is off for %s: a crash may lose rows that the application takes for committed; the relay sends only what is on disk", shownHolder(holder))
	}
	if f.Fsync == "on" && len(f.Async) == 0 {
		d.ok("durability", "fsync is on, synchronous_commit is %s", f.SyncCommit)
	}
}

// checkRole judges what the role may do. On servers of providers the right to replicate also
// comes by membership, or by rules that no catalogue shows: there the server itself is asked.
func (d *doctor) checkRole(ctx context.Context, examiner *sql.Examiner, f sql.ServerFacts) {
	role := identifier(f.Role)
	switch {
	case f.Superuser:
		d.warn("role", "create role NAME login replication password 'SECRET', then set user and password in RELAY_DATABASE_URL, then relay doctor, which names what to give to that role",
			"%s is a superuser, which the relay need not be", role)
	case f.Replication, d.config.Capture != CaptureStream:
		d.ok("role", "%s may replicate: %t; superuser: no", role, f.Replication)
	case f.ReplicationBy != "":
		d.ok("role", "%s may replicate: as a member of %s; superuser: no", role, f.ReplicationBy)
	case d.replicates(ctx, examiner, f):
		d.ok("role", "%s may replicate: the server lets it, although it has not the attribute; superuser: no", role)
	default:
		d.fail("role", f.Provider.MendReplication(f.Role, ""), "%s has no replication right, so there is no stream", role)
	}
}

// replicates reports whether the server gives the role a connection for replication.
func (d *doctor) replicates(ctx context.Context, examiner *sql.Examiner, f sql.ServerFacts) bool {
	flaw, err := cdc.ExamineReplication(ctx, examiner.Own, f.Provider, f.ReplicationBy)
	return err == nil && flaw.Why == ""
}

// checkSchema reports whether the tables are there as this program needs them.
func (d *doctor) checkSchema(ctx context.Context, examiner *sql.Examiner, server sql.ServerFacts) bool {
	f, err := examiner.Schema(ctx)
	role := identifier(server.Role)
	switch {
	case err != nil:
		d.failed("schema", err)
		return false
	case !f.Exists && !server.MayCreate:
		d.fail("schema", fmt.Sprintf("grant create on database %s to %s, then relay migrate", identifier(server.Database), role),
			"there is no schema relay, and %s may not make it", role)
		return false
	case len(f.Foreign) > 0:
		d.fail("schema", mendOwner(f.Foreign, role), "%s does not own %s", role, naming(f.Foreign))
		return false
	case !f.Exists, f.Version < f.Needed:
		d.fail("schema", "relay migrate", "the schema relay is at version %d, this program needs %d", f.Version, f.Needed)
		return false
	case f.Version > f.Needed:
		d.fail("schema", "run the relay that migrated it, or a newer one", "the schema relay is at version %d, this program knows %d", f.Version, f.Needed)
		return true
	}
	d.ok("schema", "version %d, owned by %s", f.Version, role)
	if len(f.Inserters) == 0 {
		d.warn("application", "relay grant ROLE", "no role but the owner may insert messages")
	} else {
		d.ok("application", "messages may be inserted by %s", strings.Join(f.Inserters, ", "))
	}
	return true
}

// mendOwner returns the commands that give objects to a role.
func mendOwner(objects []string, role string) string {
	commands := make([]string, 0, len(objects))
	for _, object := range objects {
		commands = append(commands, "alter "+object+" owner to "+role)
	}
	return strings.Join(commands, ", then ")
}

// identifier quotes a name for SQL.
func identifier(name string) string { return pgx.Identifier{name}.Sanitize() }
