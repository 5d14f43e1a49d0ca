package main

import (
	"context"
	"strings"

	"relay/sql"
)

// Connections of a relay besides those of RELAY_DATABASE_CONNECTIONS, and the fewest of all with which it works: two
// of the pool, one of each other pool that it needs all the time, and those of the stream.
const (
	streamConnections = 2
	fewestConnections = 2 + 3 + streamConnections
)

// checkStates names what people have set, or made beside the relay's tables, that keeps messages from being inserted,
// sent or removed.
func (d *doctor) checkStates(ctx context.Context, examiner *sql.Examiner, server sql.ServerFacts) {
	f, err := examiner.States(ctx)
	if err != nil {
		d.failed("states", err)
		return
	}
	before := len(d.findings)
	for _, holder := range f.ReadOnly {
		d.warn("read-only", reset(holder, "default_transaction_read_only"),
			"transactions are read-only by default for %s: applications cannot insert; the relay's own sessions are not affected", shownHolder(holder))
	}
	for _, holder := range f.Replica {
		d.warn("replication role", reset(holder, "session_replication_role"),
			"session_replication_role is replica for %s: triggers and foreign keys of yours do not work there; those of the relay do", shownHolder(holder))
	}
	d.checkLimits(f, server)
	for _, t := range f.Secured {
		if t.Forced {
			d.fail("table", "alter table "+t.Name+" no force row level security", "row level security hides rows of %s from the relay", t.Name)
		} else {
			d.warn("table", "alter table "+t.Name+" disable row level security", "%s has row level security: roles that are not its owner may fail", t.Name)
		}
	}
	for _, r := range f.References {
		d.warn("foreign keys", "alter table "+r.Table+" drop constraint "+r.Constraint,
			"%s references %s: the relay cannot remove what has ended, or your rows go with it", r.Table, r.To)
	}
	for _, t := range f.Triggers {
		d.checkTriggerState(t)
	}
	if len(d.findings) == before {
		d.ok("states", "nothing that a person has set or made keeps messages from being inserted, sent or removed")
	}
}

// usual are the values with which the relay, and applications, work.
var usual = map[string]string{"default_transaction_read_only": "off", "session_replication_role": "origin", "synchronous_commit": "on"}

// shownHolder names what has a setting.
func shownHolder(holder string) string {
	if holder == "system" {
		return "the server"
	}
	return holder
}

// reset returns the command that takes a setting back from what has it.
func reset(holder, setting string) string {
	if holder == "system" { // what stands in postgresql.conf cannot be reset
		return "alter system set " + setting + " = " + usual[setting] + ", then select pg_reload_conf()"
	}
	command := "alter " + holder + " reset " + setting
	if setting == "default_transaction_read_only" { // it may hold for the session that is to change it
		command = "begin read write; " + command + "; commit"
	}
	return command
}

// checkLimits compares the limits of role and database with what a relay may need.
func (d *doctor) checkLimits(f sql.StateFacts, server sql.ServerFacts) {
	need := d.config.DatabaseConnections + sql.FurtherConnections + streamConnections
	for _, l := range []struct {
		limit int
		of    string
	}{
		{f.RoleLimit, "role " + identifier(server.Role)},
		{f.DatabaseLimit, "database " + identifier(server.Database)},
	} {
		result := resultWarn
		if l.limit < fewestConnections {
			result = resultFail
		}
		if l.limit >= 0 && l.limit < need {
			d.add(result, "connections", "alter "+l.of+" connection limit -1",
				"%s may have %d connections, and each relay opens up to %d (RELAY_DATABASE_CONNECTIONS is %d)", l.of, l.limit, need, d.config.DatabaseConnections)
		}
	}
}

// checkTriggerState names a trigger of the relay that does not fire always. That outbox_ring is disabled is told by
// checkTrigger.
func (d *doctor) checkTriggerState(t sql.TriggerState) {
	mend := "alter table " + t.Table + " enable always trigger " + t.Name
	switch {
	case t.Enabled == "O":
		d.warn("triggers", mend, "trigger %s on %s does not fire where session_replication_role is replica", t.Name, t.Table)
	case t.Name != "outbox_ring":
		d.fail("triggers", mend, "trigger %s on %s is disabled: %s", t.Name, t.Table, whatTriggersDo(t.Name))
	}
}

// whatTriggersDo says what is missing without a trigger of the relay.
func whatTriggersDo(name string) string {
	switch {
	case strings.HasPrefix(name, "outbox_checked"):
		return "messages are inserted that cannot be sent"
	case strings.HasPrefix(name, "subscription_changed"):
		return "relays do not hear of new subscriptions"
	case strings.HasPrefix(name, "subscription_"):
		return "subscriptions are not checked"
	}
	return "nothing tells of deliveries that died (relay.dead)"
}
