package cdc

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The trigger rings once per INSERT statement. A payload must stay below 8000 bytes: 200 ids of 36
// bytes and their commas take 7,399. Statements of more than 1,000 rows ask for a sweep instead.
// The function needs no privilege of the inserting role: PostgreSQL reads a transition table
// without a check, and every role may call pg_notify.
const makeRing = `
create or replace function relay.ring() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if (select count(*) from (select from inserted limit 1001) few) > 1000 then
    perform pg_notify('relay_outbox', '');
  else
    perform pg_notify('relay_outbox', string_agg(part.id::text, ','))
    from (select id, (row_number() over () - 1) / 200 as n from inserted) part
    group by part.n
    order by part.n;
  end if;
  return null;
end
$$
`

// closeRing takes the function from PUBLIC, which PostgreSQL gives it, and from roles that
// default privileges gave it to.
const closeRing = `
do $$
declare
  role text;
begin
  for role in
    select case x.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end
    from pg_proc p cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
    where p.oid = 'relay.ring()'::regprocedure and x.grantee <> p.proowner
  loop
    execute 'revoke all on function relay.ring() from ' || role || ' cascade';
  end loop;
end
$$
`

const makeTrigger = `
create trigger outbox_ring after insert on relay.outbox
referencing new table as inserted for each statement execute function relay.ring()
`

// alwaysRing has it fire where session_replication_role is replica, too.
const alwaysRing = "alter table relay.outbox enable always trigger outbox_ring"

const selectTrigger = `
select coalesce((select tgenabled::text from pg_trigger
                 where tgrelid = to_regclass('relay.outbox') and tgname = 'outbox_ring'), '')
`

// ExamineTrigger looks at the trigger that EnsureTrigger makes, and changes nothing. It
// reports whether it is there.
func ExamineTrigger(ctx context.Context, db *pgx.Conn) (exists bool, flaw Flaw, err error) {
	var enabled string
	if err := db.QueryRow(ctx, selectTrigger).Scan(&enabled); err != nil {
		return false, Flaw{}, fmt.Errorf("look at the trigger on relay.outbox: %w", err)
	}
	switch enabled {
	case "":
		return false, Flaw{}, nil
	case "O", "A": // fires in ordinary sessions; in all
		return true, Flaw{}, nil
	}
	return true, Flaw{
		Why:  "the trigger outbox_ring on relay.outbox is disabled",
		Mend: alwaysRing,
	}, nil
}

// triggerTrouble says why the trigger does not ring. It is nil if the trigger rings.
func triggerTrouble(ctx context.Context, db *pgx.Conn) (*trouble, error) {
	exists, flaw, err := ExamineTrigger(ctx, db)
	switch {
	case err != nil:
		return nil, err
	case !exists:
		return &trouble{
			why:  "relay.outbox has no trigger outbox_ring any more",
			mend: "start the relay again: it makes the trigger when it starts",
		}, nil
	case flaw.Why != "":
		return &trouble{why: flaw.Why, mend: flaw.Mend}, nil
	}
	return nil, nil
}

// Making a trigger locks the table against writers, and waits for those under way while
// later ones queue up behind it. So it gives up early and is tried again by the caller;
// where the trigger is as it should be, no lock is taken at all.
const triggerLockTimeout = "set local lock_timeout = '2s'"

// Two relays that start together would both write the same catalogue rows.
const triggerLock = "select pg_advisory_xact_lock(hashtext('relay trigger'))"

// EnsureTrigger makes the trigger that rings on Channel at each INSERT into relay.outbox, unless it is there, and
// has it fire always. It is for RELAY_CAPTURE=notify only: with it PostgreSQL refuses PREPARE TRANSACTION in a
// transaction that has inserted. The role must own the table. An error with SQLSTATE 55P03 says that the table was
// locked, and to try again.
func EnsureTrigger(ctx context.Context, db *pgx.Conn) error {
	err := changeTrigger(ctx, db, func(tx pgx.Tx, enabled string) error {
		statements := []string{makeRing, closeRing}
		switch enabled {
		case "":
			statements = append(statements, makeTrigger, alwaysRing)
		case "O": // as earlier versions made it; one that a person has disabled stays so
			statements = append(statements, alwaysRing)
		}
		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("make the trigger on relay.outbox: %w", err)
	}
	return nil
}

// DropTrigger removes what EnsureTrigger made. Where there is nothing it takes no lock, so
// that every start without RELAY_CAPTURE=notify may call it.
func DropTrigger(ctx context.Context, db *pgx.Conn) error {
	err := changeTrigger(ctx, db, func(tx pgx.Tx, enabled string) error {
		if enabled == "" {
			return nil
		}
		if _, err := tx.Exec(ctx, "drop trigger outbox_ring on relay.outbox"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "drop function if exists relay.ring()")
		return err
	})
	if err != nil {
		return fmt.Errorf("drop the trigger on relay.outbox: %w", err)
	}
	return nil
}

func changeTrigger(ctx context.Context, db *pgx.Conn, change func(tx pgx.Tx, enabled string) error) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		for _, statement := range []string{triggerLockTimeout, triggerLock} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		var enabled string // as pg_trigger has it; empty: there is none
		if err := tx.QueryRow(ctx, selectTrigger).Scan(&enabled); err != nil {
			return err
		}
		return change(tx, enabled)
	})
}
