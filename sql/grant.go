package sql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relay"
)

// Grant gives a role what an application needs and no more: to INSERT messages, and to
// read the id alone, for RETURNING and ON CONFLICT. What GrantInbox gave stays; every other
// privilege of the role in the schema is taken back, and it is an error if one stays. It
// fails if the role does not exist.
func (s *Store) Grant(ctx context.Context, role string) error {
	return s.grantSending(ctx, role, true)
}

// GrantWithoutDestination is Grant without the column destination: subscriptions and the
// default destination decide where the role's messages go.
func (s *Store) GrantWithoutDestination(ctx context.Context, role string) error {
	return s.grantSending(ctx, role, false)
}

func (s *Store) grantSending(ctx context.Context, role string, destination bool) error {
	return s.inTx(ctx, fmt.Sprintf("grant role %q the use of the outbox", role), func(tx pgx.Tx) error {
		before, err := beginGrant(ctx, tx, role)
		if err != nil {
			return err
		}
		return setRights(ctx, tx, role, rights{sends: true, destination: destination, receives: before.receives})
	})
}

// Policies cannot change while a consumer's transaction is under way, and consumers that
// come meanwhile wait. So each try is short.
const (
	policyTimeout = 500 * time.Millisecond
	policyPause   = time.Second
	policyTries   = 20
)

// GrantInbox gives a role what a consumer needs and no more: to call relay.receive() for
// these consumers, or for every one if none is named. Other consumers that the role was
// granted before are taken back; what Grant gave stays. It fails if the role does not
// exist, and if transactions of consumers leave relay.inbox no moment of quiet.
func (s *Store) GrantInbox(ctx context.Context, role string, consumers ...string) error {
	if slices.ContainsFunc(consumers, func(c string) bool { return c == "" || len(c) > 255 }) {
		return errors.New("grant the use of the inbox: a consumer's name has 1 to 255 bytes")
	}
	for try := 1; ; try++ {
		err := s.grantReceiving(ctx, role, consumers)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "55P03" {
			return err
		}
		if try == policyTries {
			return fmt.Errorf("transactions of consumers hold relay.inbox: run it again when they have ended: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(policyPause):
		}
	}
}

func (s *Store) grantReceiving(ctx context.Context, role string, consumers []string) error {
	return s.inTx(ctx, fmt.Sprintf("grant role %q the use of the inbox", role), func(tx pgx.Tx) error {
		before, err := beginGrant(ctx, tx, role)
		if err != nil {
			return err
		}
		if err := setPolicy(ctx, tx, role, consumers); err != nil {
			return err
		}
		return setRights(ctx, tx, role, rights{sends: before.sends, destination: before.destination, receives: true})
	})
}

// grantLock is the key of the advisory lock under which privileges change: two sessions that
// change those of one table at once would fail.
const grantLock = migrationLock + 1

// beginGrant takes the lock, refuses roles that cannot be granted anything, and returns what
// the role has.
func beginGrant(ctx context.Context, tx pgx.Tx, role string) (rights, error) {
	var r rights
	if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(grantLock)); err != nil {
		return r, err
	}
	const statement = `
	select
		exists (
			select from pg_namespace n where n.nspname = 'relay' and (n.nspowner = r.oid
				or exists (select from pg_class c where c.relnamespace = n.oid and c.relowner = r.oid))
		),
		exists (
			select from pg_class c join pg_attribute a on a.attrelid = c.oid cross join lateral aclexplode(a.attacl) x
			where c.oid = to_regclass('relay.outbox') and a.attname = 'topic' and x.grantee = r.oid and pg_has_role(c.relowner, 'usage')
		),
		exists (
			select from pg_class c join pg_attribute a on a.attrelid = c.oid cross join lateral aclexplode(a.attacl) x
			where c.oid = to_regclass('relay.outbox') and a.attname = 'destination' and x.grantee = r.oid
		),
		exists (
			select from pg_policy p join pg_class c on c.oid = p.polrelid
			where c.oid = to_regclass('relay.inbox') and p.polroles = array[r.oid] and pg_has_role(c.relowner, 'usage')
		)
	from pg_roles r where r.rolname = $1`
	var owner bool
	err := tx.QueryRow(ctx, statement, role).Scan(&owner, &r.sends, &r.destination, &r.receives)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return r, fmt.Errorf("there is no such role: create role %s login password '…'", quoteName(role))
	case err == nil && owner:
		return r, errors.New("the role owns the schema relay or a table of it, and needs no grant: name the application's own role")
	}
	return r, err
}

// setPolicy makes the policy by which a role receives for these consumers, for all of them if
// there are none, in place of those that it had.
func setPolicy(ctx context.Context, tx pgx.Tx, role string, consumers []string) error {
	if err := requirePolicies(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, fmt.Sprintf("set local lock_timeout = %d", policyTimeout.Milliseconds())); err != nil {
		return err
	}
	const old = `
	select format('drop policy %I on relay.inbox', p.polname) from pg_policy p join pg_roles r on p.polroles = array[r.oid]
	where p.polrelid = 'relay.inbox'::regclass and r.rolname = $1`
	rows, err := tx.Query(ctx, old, role)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	const create = `
	select format('create policy %I on relay.inbox for insert to %I with check (%s)', 'grant_' || $1::text, $2::text,
		case when cardinality($3::text[]) = 0 then 'true' else format('consumer = any (%L::text[])', $3) end)`
	var statement string
	if err := tx.QueryRow(ctx, create, relay.NewID().String(), role, append([]string{}, consumers...)).Scan(&statement); err != nil {
		return err
	}
	for _, statement := range append(statements, statement) {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// requirePolicies fails where policies would have no effect: an inbox of an earlier version
// inserts with its owner's rights.
func requirePolicies(ctx context.Context, tx pgx.Tx) error {
	const statement = `
	select c.relrowsecurity and not p.prosecdef from pg_class c, pg_proc p
	where c.oid = to_regclass('relay.inbox') and p.oid = to_regprocedure('relay.receive(text, uuid)')`
	var ready bool
	err := tx.QueryRow(ctx, statement).Scan(&ready)
	if errors.Is(err, pgx.ErrNoRows) {
		return errors.New("there is no relay.inbox: run relay migrate, or relay migrate --inbox-only")
	}
	if err == nil && !ready {
		return errors.New("relay.inbox limits no consumer: run relay migrate --inbox-only, then alter table relay.inbox enable row level security")
	}
	return err
}
