package cdc

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// publication is what the catalogue says about the publication and the table that it is
// to publish. The zero value stands for one that does not exist.
type publication struct {
	oid         uint32
	table       uint32 // oid of relay.outbox; 0: there is no such table
	listed      bool   // the table is in it
	others      bool   // other tables or schemas are in it too
	everything  bool   // it is for all tables, which cannot be altered
	filtered    bool   // a row filter hides rows
	inserts     bool
	more        bool // it publishes more than inserts
	columns     []string
	viaRootOnly bool
}

const selectPublication = `
select coalesce(p.oid, 0), coalesce(t.oid, 0),
       r.oid is not null,
       exists (select from pg_publication_rel o where o.prpubid = p.oid and o.prrelid is distinct from t.oid)
         or exists (select from pg_publication_namespace n where n.pnpubid = p.oid),
       coalesce(p.puballtables, false),
       r.prqual is not null,
       coalesce(p.pubinsert, false),
       coalesce(p.pubupdate or p.pubdelete or p.pubtruncate, false),
       array(select a.attname::text from pg_attribute a
             where a.attrelid = r.prrelid and a.attnum = any(r.prattrs::int2[]) order by 1),
       coalesce(p.pubviaroot, false)
from (select to_regclass('relay.outbox')::oid as oid) t
left join pg_publication p on p.pubname = $1
left join pg_publication_rel r on r.prpubid = p.oid and r.prrelid = t.oid
`

func readPublication(ctx context.Context, db *pgx.Conn, name string) (publication, error) {
	var p publication
	err := db.QueryRow(ctx, selectPublication, name).Scan(&p.oid, &p.table, &p.listed, &p.others,
		&p.everything, &p.filtered, &p.inserts, &p.more, &p.columns, &p.viaRootOnly)
	if err != nil {
		return p, fmt.Errorf("read publication %q: %w", name, err)
	}
	return p, nil
}

// ringColumns are what the stream carries of a row, in alphabetical order.
func ringColumns() []string { return []string{"deliver_at", "id", "key", "seq"} }

// enough reports whether the columns tell what the relay has to know. A relay of an earlier version published no seq:
// without it each message with a key has its key read from the lowest message.
func enough(columns []string) bool {
	return slices.Equal(columns, ringColumns()) || slices.Equal(columns, []string{"deliver_at", "id", "key"})
}

// flaw says what is wrong with an existing publication. It is empty if nothing is wrong.
func (p publication) flaw() string {
	var flaws []string
	add := func(is bool, what string) {
		if is {
			flaws = append(flaws, what)
		}
	}
	add(p.everything, "it is for all tables")
	add(!p.listed && !p.everything, "relay.outbox is not in it")
	add(p.others, "it publishes other tables too")
	add(p.listed && !enough(p.columns), "its columns are not id, key, deliver_at, seq")
	add(p.filtered, "a row filter hides rows")
	add(!p.inserts, "it does not publish inserts")
	add(p.more, "it publishes more than inserts")
	add(p.viaRootOnly, "it publishes via the partition root")
	return strings.Join(flaws, ", ")
}

// ensurePublication makes the publication, or repairs it if it differs, and returns how it
// now stands. With made it did not exist before: WAL written until then can never be
// decoded with it ('publication does not exist'), so an older slot must be replaced.
func (s *Stream) ensurePublication(ctx context.Context, db *pgx.Conn) (p publication, made bool, err error) {
	p, err = readPublication(ctx, db, s.cfg.Publication)
	if err != nil {
		return p, false, err
	}
	var flaw string
	if p.oid != 0 {
		flaw = p.flaw()
	}
	switch {
	case p.table == 0:
		return p, false, &trouble{why: "table relay.outbox does not exist", mend: "relay migrate"}
	case p.oid != 0 && flaw == "" && !slices.Equal(p.columns, ringColumns()):
		if err := s.repairPublication(ctx, db, false); err != nil {
			s.cfg.Log.Info("the publication has no column seq, and stays so: keys are read from their lowest message", "publication", s.cfg.Publication, "why", oneLine(err))
			return p, false, nil
		}
	case p.oid == 0:
		made = true
		err = s.makePublication(ctx, db)
	case flaw != "":
		s.cfg.Log.Warn("publication differs and is repaired", "publication", s.cfg.Publication, "why", flaw)
		made = p.everything
		err = s.repairPublication(ctx, db, p.everything)
	default:
		return p, false, nil
	}
	if err != nil {
		return p, false, s.explainPublication(err, flaw)
	}
	p, err = readPublication(ctx, db, s.cfg.Publication)
	return p, made, err
}

func (s *Stream) explainPublication(err error, flaw string) error {
	name := quote(s.cfg.Publication)
	switch sqlstate(err) {
	case codeNoPrivilege:
		if flaw == "" {
			return &trouble{
				why:  fmt.Sprintf("publication %s is missing and this role may not make it (%s)", name, oneLine(err)),
				mend: fmt.Sprintf("grant create on database %s to %s", quote(s.cfg.Conn.Database), quote(s.cfg.Conn.User)),
			}
		}
		return &trouble{
			why:  fmt.Sprintf("publication %s differs (%s) and belongs to another role", name, flaw),
			mend: fmt.Sprintf("alter publication %s owner to %s", name, quote(s.cfg.Conn.User)),
		}
	case codeLockTimeout:
		return &trouble{
			why:  fmt.Sprintf("publication %s cannot be made or repaired while relay.outbox is locked", name),
			mend: "end the transaction that locks it (select * from pg_locks where relation = 'relay.outbox'::regclass)",
		}
	case codeReadOnly:
		return &trouble{
			why:  fmt.Sprintf("publication %s cannot be made or repaired: the database is read only", name),
			mend: "set default_transaction_read_only to off; or set RELAY_DATABASE_URL to the primary",
		}
	}
	return err
}

func (s *Stream) makePublication(ctx context.Context, db *pgx.Conn) error {
	err := s.alterPublication(ctx, db, createPublication(s.cfg.Publication))
	if err != nil && sqlstate(err) != codeDuplicateObject { // another relay was faster
		return fmt.Errorf("create publication %q: %w", s.cfg.Publication, err)
	}
	s.cfg.Log.Info("publication made", "publication", s.cfg.Publication)
	return nil
}

func createPublication(name string) string {
	return "create publication " + quote(name) +
		" for table relay.outbox (id, key, deliver_at, seq) with (publish = 'insert')"
}

// repairs are the statements that set everything that matters. A publication for all
// tables cannot be altered and is made anew.
func repairs(name string, recreate bool) []string {
	if recreate {
		return []string{"drop publication " + quote(name), createPublication(name)}
	}
	return []string{
		"alter publication " + quote(name) + " set table relay.outbox (id, key, deliver_at, seq)",
		"alter publication " + quote(name) + " set (publish = 'insert', publish_via_partition_root = false)",
	}
}

func (s *Stream) repairPublication(ctx context.Context, db *pgx.Conn, recreate bool) error {
	if err := s.alterPublication(ctx, db, repairs(s.cfg.Publication, recreate)...); err != nil {
		return fmt.Errorf("repair publication %q: %w", s.cfg.Publication, err)
	}
	return nil
}

// alterPublication runs the statements in one transaction. The statements lock the table. If
// another session has locked it, alterPublication soon returns an error that says so, and the next
// attempt tries again.
func (s *Stream) alterPublication(ctx context.Context, db *pgx.Conn, statements ...string) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		for _, statement := range append([]string{"set local lock_timeout = '5s'"}, statements...) {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// quote returns name as an SQL identifier. The replication commands follow the same rule.
func quote(name string) string {
	return pgx.Identifier{name}.Sanitize()
}
