package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"relay/sql"
)

// checkPrivileges lists what roles other than the owner may do in the schema, and warns of
// what goes beyond relay grant.
func (d *doctor) checkPrivileges(ctx context.Context, examiner *sql.Examiner) {
	list, err := examiner.Privileges(ctx)
	if err != nil {
		d.failed("privileges", err)
		return
	}
	before := len(d.findings)
	excess := make(map[string]bool)
	for _, group := range beyond(list) {
		excess[group[0].Grantee] = true
		d.warn("privileges", mendPrivileges(group), "%s may %s, which relay grant does not give", roleName(group[0].Grantee), privilegeNames(group))
	}
	d.checkMembers(ctx, examiner, excess)
	d.checkForeignCode(ctx, examiner)
	if len(d.findings) == before {
		d.ok("privileges", "no role but the owner may do more than relay grant gives")
	}
	d.checkReceivers(ctx, examiner)
	if names, err := examiner.Superusers(ctx); err != nil {
		d.failed("privileges", err)
	} else if len(names) > 0 {
		d.ok("superusers", "%s may do everything, as superusers may", naming(names))
	}
}

// beyond groups the privileges that relay grant does not give by role, object and grantor.
func beyond(list []sql.Privilege) [][]sql.Privilege {
	groups := make(map[string][]sql.Privilege)
	for _, p := range list {
		if !p.Documented() {
			key := strings.Join([]string{p.Grantee, p.Kind, p.Object, p.Grantor}, "\x00")
			groups[key] = append(groups[key], p)
		}
	}
	ordered := make([][]sql.Privilege, 0, len(groups))
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		ordered = append(ordered, groups[key])
	}
	return ordered
}

// privilegeNames names the privileges of a group and then, once, their object.
func privilegeNames(group []sql.Privilege) string {
	names := make([]string, len(group))
	for i, p := range group {
		names[i] = p.Name
		if p.Column != "" {
			names[i] += " (" + p.Column + ")"
		}
		if p.Grantable {
			names[i] += " with grant option"
		}
	}
	return strings.Join(names, ", ") + " on " + group[0].Kind + " " + group[0].Object
}

// mendPrivileges returns the commands that take a group's privileges away, and the role that
// must run them if the owner cannot.
func mendPrivileges(group []sql.Privilege) string {
	commands := make([]string, len(group))
	for i, p := range group {
		commands[i] = p.Revoke()
	}
	all := strings.Join(commands, "; ")
	if p := group[0]; p.Grantor != p.Owner {
		all = fmt.Sprintf("set role %s; %s; reset role", identifier(p.Grantor), all)
	}
	return all
}

func roleName(grantee string) string {
	if grantee == "" {
		return "every role (PUBLIC)"
	}
	return "role " + grantee
}

// checkMembers warns of roles that have rights by being members of others. excess holds the
// roles whose own privileges go beyond relay grant.
func (d *doctor) checkMembers(ctx context.Context, examiner *sql.Examiner, excess map[string]bool) {
	members, err := examiner.Members(ctx)
	if err != nil {
		d.failed("privileges", err)
		return
	}
	for _, m := range members {
		mend := "revoke " + identifier(m.Through) + " from " + identifier(m.Role)
		what := fmt.Sprintf("role %s is a member of %s", m.Role, m.Of)
		if m.Through != m.Of {
			what += " through " + m.Through
		}
		switch {
		case m.Owner:
			d.warn("privileges", mend, "%s, and may do everything with the schema relay", what)
		case m.Of == "pg_read_all_data":
			d.warn("privileges", mend, "%s, and reads every table, also relay.ack_key and the secrets of subscriptions", what)
		case m.Of == "pg_write_all_data":
			d.warn("privileges", mend, "%s, and writes every table", what)
		case excess[m.Of]:
			d.warn("privileges", mend, "%s, and has its privileges", what)
		default:
			d.ok("privileges", "%s, and has what relay grant gave that role", what)
		}
	}
}

// checkForeignCode looks for what runs code of other roles.
func (d *doctor) checkForeignCode(ctx context.Context, examiner *sql.Examiner) {
	list, err := examiner.ForeignCode(ctx)
	if err != nil {
		d.failed("privileges", err)
		return
	}
	for _, f := range list {
		d.fail("privileges", mendForeign(f, identifier(examiner.Own.User)), "%s: it runs with the rights of the relay and of those that insert messages", f)
	}
}

// mendForeign is what keeps the code of another role from running.
func mendForeign(f sql.Foreign, role string) string {
	if strings.HasPrefix(f.Object, "trigger ") {
		return "drop " + strings.Replace(f.Object, " on table ", " on ", 1)
	}
	of := f.Uses
	if of == "" {
		of = f.Object
	}
	return "alter " + of + " owner to " + role + "; or drop it"
}

// checkReceivers tells which roles may receive for which consumers.
func (d *doctor) checkReceivers(ctx context.Context, examiner *sql.Examiner) {
	list, limited, err := examiner.Receivers(ctx)
	switch {
	case err != nil:
		d.failed("inbox", err)
		return
	case !limited:
		d.fail("inbox", "alter table relay.inbox enable row level security", "every role that may receive does so for every consumer: row level security is off for relay.inbox")
	}
	for _, r := range list {
		if r.Consumers == "true" {
			d.ok("inbox", "role %s may receive for every consumer", r.Role)
		} else {
			d.ok("inbox", "role %s may receive where %s", r.Role, r.Consumers)
		}
	}
}

// checkPath warns of roles that could put their functions where names are looked up.
func (d *doctor) checkPath(ctx context.Context, examiner *sql.Examiner, server sql.ServerFacts) {
	list, err := examiner.Creators(ctx)
	if err != nil {
		d.failed("path", err)
		return
	}
	for _, c := range list {
		grantee := "public"
		if c.Role != "" {
			grantee = identifier(c.Role)
		}
		mend := "revoke create on schema " + identifier(c.Schema) + " from " + grantee
		if c.Schema == "relay" {
			d.warn("path", mend, "%s may create functions in schema relay, which calls of the relay's own could reach", roleName(c.Role))
			continue
		}
		mend += fmt.Sprintf("; or alter role %s in database %s set search_path = pg_catalog", identifier(server.Role), identifier(server.Database))
		d.warn("path", mend, "%s may create functions and operators in schema %s, which is on the search path of role %s: a person who connects as %[3]s would run them",
			roleName(c.Role), c.Schema, server.Role)
	}
	if len(list) == 0 {
		d.ok("path", "no other role may create objects in a schema that role %s looks names up in", server.Role)
	}
}
