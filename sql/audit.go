package sql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"relay"
)

// Actor is a person who changes something.
type Actor struct {
	Name    string // as the person gave it; empty: the relay itself, whose changes leave no entry
	Role    string
	Address string // from where; empty: the machine's own command line
	Reason  string // as the person gave it; empty: none
}

// By returns a store whose changes leave entries in the audit, in the transactions of the changes. It is closed
// with s.
func (s *Store) By(a Actor) *Store {
	c := *s
	c.actor = a
	return &c
}

// AuditKind is what an entry is about.
type AuditKind string

// The kinds of objects.
const (
	AuditMessage      AuditKind = "message"
	AuditSubscription AuditKind = "subscription"
	AuditKey          AuditKind = "key"
	AuditJob          AuditKind = "job"
	AuditSession      AuditKind = "session"
	AuditDatabase     AuditKind = "database"
)

// AuditEntry says which person did what to which object.
type AuditEntry struct {
	ID      int64
	At      time.Time
	Actor   Actor
	Action  string // as message.retry
	Kind    AuditKind
	Object  string // a message's or job's id, the name of a subscription or database, a key; empty: none
	Result  string // empty: none
	Details []byte // JSON, without secrets; nil: none
}

const addAudit = `
insert into relay.audit (actor, role, address, action, kind, object, reason, result, details)
select $1, $2, nullif($3, ''), $4, $5, nullif(w.object, ''), nullif($6, ''), nullif(w.result, ''), $9::jsonb
from unnest($7::text[], $8::text[]) as w(object, result)`

// audit writes an entry, unless the relay itself is at work.
func (s *Store) audit(ctx context.Context, tx pgx.Tx, e AuditEntry) error {
	return s.auditAll(ctx, tx, e, []string{e.Object}, []string{e.Result})
}

// auditAll writes an entry for each of some objects of one kind.
func (s *Store) auditAll(ctx context.Context, tx pgx.Tx, e AuditEntry, objects, results []string) error {
	a := s.actor
	if a.Name == "" || len(objects) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, addAudit, text(a.Name), a.Role, a.Address, e.Action, string(e.Kind), text(a.Reason), texts(objects), texts(results), e.Details)
	if err != nil {
		return fmt.Errorf("write the audit: %w", denial(err))
	}
	return nil
}

func texts(list []string) []string {
	out := make([]string, len(list))
	for i, one := range list {
		out[i] = text(one)
	}
	return out
}

// auditMessages writes an entry for each message that a person changed, with the effect.
func (s *Store) auditMessages(ctx context.Context, tx pgx.Tx, e AuditEntry, ids []relay.ID, effects []Effect) error {
	objects, results := make([]string, len(ids)), words(effects)
	for i, id := range ids {
		objects[i] = id.String()
	}
	e.Kind = AuditMessage
	return s.auditAll(ctx, tx, e, objects, results)
}

// Note writes an entry about what changes nothing else, such as a sign-in or a refusal. The store must be one that
// By returned.
func (s *Store) Note(ctx context.Context, e AuditEntry) error {
	return s.inTx(ctx, "note what was done", func(tx pgx.Tx) error { return s.audit(ctx, tx, e) })
}

// AuditFilter says which entries are looked for. An empty field matches all.
type AuditFilter struct {
	Actor  string
	Role   string
	Action string
	Kind   AuditKind
	Object string // needs Kind
	Since  time.Time
	Until  time.Time // excluded
}

// AuditPage is a part of the audit.
type AuditPage struct {
	Entries []AuditEntry
	Next    Cursor // where it goes on; empty: there is nothing more
}

const auditColumns = `
select a.id, a.at, a.actor, a.role, coalesce(a.address, ''), coalesce(a.reason, ''), a.action, a.kind, coalesce(a.object, ''),
	coalesce(a.result, ''), a.details
from relay.audit a where a.id < $1`

const (
	listAudit = auditColumns + `
	and ($2 = '' or a.actor = $2) and ($3 = '' or a.action = $3) and ($4 = '' or a.kind = $4) and ($5 = '' or a.object = $5)
	and ($6::timestamptz is null or a.at >= $6) and ($7::timestamptz is null or a.at < $7) and ($8 = '' or a.role = $8)
	order by a.id desc limit $9`

	auditOfObject = auditColumns + ` and a.kind = $2 and a.object = $3 order by a.id desc limit $4`
)

// Audit lists entries, the youngest first, at most limit of them after a cursor that an earlier page returned.
func (s *Store) Audit(ctx context.Context, f AuditFilter, after Cursor, limit int) (page AuditPage, err error) {
	at, err := byID.from(after)
	if err != nil {
		return page, err
	}
	if f.Object != "" && f.Kind != "" && f.Actor == "" && f.Role == "" && f.Action == "" && f.Since.IsZero() && f.Until.IsZero() {
		page.Entries, err = s.auditOf(ctx, f.Kind, f.Object, at.seq, limit+1)
	} else {
		rows, queryErr := s.pool.Query(ctx, listAudit, at.seq, f.Actor, f.Action, string(f.Kind), f.Object, timeOrNil(f.Since), timeOrNil(f.Until), f.Role, limit+1)
		page.Entries, err = collectAudit(rows, queryErr)
	}
	if len(page.Entries) > limit {
		page.Entries = page.Entries[:limit]
		page.Next = byID.at(position{created: startOfTime, seq: page.Entries[limit-1].ID})
	}
	return page, err
}

// auditOf lists the entries about one object before an id.
func (s *Store) auditOf(ctx context.Context, kind AuditKind, object string, before int64, limit int) ([]AuditEntry, error) {
	rows, err := s.pool.Query(ctx, auditOfObject, before, string(kind), object, limit)
	return collectAudit(rows, err)
}

func collectAudit(rows pgx.Rows, err error) ([]AuditEntry, error) {
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", denial(err))
	}
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e AuditEntry, err error) {
		err = row.Scan(&e.ID, &e.At, &e.Actor.Name, &e.Actor.Role, &e.Actor.Address, &e.Actor.Reason, &e.Action, &e.Kind, &e.Object, &e.Result, &e.Details)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", denial(err))
	}
	return entries, nil
}

const retainAudit = `
delete from relay.audit where id in (
	select id from relay.audit where at < statement_timestamp() - $1 * interval '1 microsecond' order by at limit $2
)`

// RetainAudit removes entries older than age, at most limit of them, and returns how many.
func (s *Store) RetainAudit(ctx context.Context, age time.Duration, limit int) (int, error) {
	tag, err := s.changes.Exec(ctx, retainAudit, age.Microseconds(), limit)
	if err != nil {
		return 0, fmt.Errorf("remove old entries of the audit: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
