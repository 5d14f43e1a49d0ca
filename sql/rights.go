package sql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

var (
	// senderColumns are the columns of relay.outbox that an application may set.
	senderColumns = []string{"id", "topic", "key", "payload", "body", "content_type", "headers", "source", "destination", "deliver_at"}
	// consumerColumns are the columns of relay.inbox that relay.receive() sets.
	consumerColumns = []string{"consumer", "message_id"}
)

// rights are what a role can be granted.
type rights struct {
	sends       bool // it inserts messages
	destination bool // it may say where they go
	receives    bool // it calls relay.receive(), for the consumers of its policy
}

// statements returns what gives a role these rights.
func (r rights) statements(role string) []string {
	name := quoteName(role)
	list := []string{"grant usage on schema relay to " + name}
	if r.sends {
		columns := slices.DeleteFunc(slices.Clone(senderColumns), func(c string) bool { return c == "destination" && !r.destination })
		list = append(list,
			"grant insert ("+strings.Join(columns, ", ")+"), select (id) on relay.outbox to "+name,
			"grant execute on function relay.new_id() to "+name,
			"grant execute on function relay.publish to "+name)
	}
	if r.receives {
		list = append(list,
			"grant insert ("+strings.Join(consumerColumns, ", ")+") on relay.inbox to "+name,
			"grant execute on function relay.receive to "+name)
	}
	return list
}

// allow reports whether a privilege is part of the rights. Objects that belong to another
// role, such as a consumer's inbox, are for their owner to grant.
func (r rights) allow(p Privilege) bool {
	if p.Column == "destination" && !r.destination {
		return false
	}
	return (r.sends || !p.Ours) && p.Sending() || (r.receives || !p.Ours) && p.Receiving()
}

// setRights gives a role exactly these rights and fails if it keeps another privilege, or
// lacks one.
func setRights(ctx context.Context, tx pgx.Tx, role string, want rights) error {
	if err := revokeAll(ctx, tx, role); err != nil {
		return err
	}
	for _, statement := range want.statements(role) {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	var enters bool
	if err := tx.QueryRow(ctx, "select has_schema_privilege($1, 'relay', 'usage')", role).Scan(&enters); err != nil {
		return err
	}
	if !enters {
		return fmt.Errorf("the owner of the schema relay must run: grant usage on schema relay to %s", quoteName(role))
	}
	kept, err := privileges(ctx, tx, &role)
	if err != nil {
		return err
	}
	return keptError(slices.DeleteFunc(kept, want.allow))
}

// keptError says which privileges a role keeps, and how they are taken away. Nil: none.
func keptError(kept []Privilege) error {
	if len(kept) == 0 {
		return nil
	}
	lines := make([]string, len(kept))
	for i, p := range kept {
		lines[i] = fmt.Sprintf("%s, which role %s granted: as that role run %s cascade", p, quoteName(p.Grantor), p.Revoke())
	}
	return fmt.Errorf("the role keeps %s", strings.Join(lines, "; "))
}

// revokeAll takes from a role every privilege that the session may take: those that the
// owner granted, and those of grantors whose role it may take on. Those that the role
// passed on go with them.
func revokeAll(ctx context.Context, tx pgx.Tx, role string) error {
	held, err := privileges(ctx, tx, &role)
	if err != nil {
		return err
	}
	done := make(map[string]bool)
	for _, p := range held {
		object := p.Kind + " " + p.Object
		if !p.Ours || done[object] {
			continue
		}
		done[object] = true
		if _, err := tx.Exec(ctx, "revoke all on "+object+" from "+quoteName(role)+" cascade"); err != nil {
			return err
		}
	}
	if held, err = privileges(ctx, tx, &role); err != nil {
		return err
	}
	for _, p := range held {
		if !p.Ours {
			continue
		}
		if err := revokeAs(ctx, tx, p); err != nil {
			return err
		}
	}
	return nil
}

// revokeAs takes a privilege away as the role that granted it, if the session may.
func revokeAs(ctx context.Context, tx pgx.Tx, p Privilege) error {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	for _, statement := range []string{"set local role " + quoteName(p.Grantor), p.Revoke() + " cascade", "reset role"} {
		if _, err := savepoint.Exec(ctx, statement); err != nil {
			// What stays is named when all has been tried.
			return savepoint.Rollback(ctx)
		}
	}
	return savepoint.Commit(ctx)
}
