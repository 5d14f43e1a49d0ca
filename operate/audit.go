package operate

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"relay/sql"
)

// AuditEntry says who did what to which object.
type AuditEntry struct {
	ID      string          `json:"id"`
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor"` // as the person gave it
	Role    Role            `json:"role"`
	Address string          `json:"address,omitempty"`
	Action  string          `json:"action"` // as message.retry
	Kind    sql.AuditKind   `json:"kind"`
	Object  string          `json:"object,omitempty"` // a message's or job's id, a subscription's name, a key
	Reason  string          `json:"reason,omitempty"`
	Result  string          `json:"result,omitempty"`
	Details json.RawMessage `json:"details,omitempty"`
}

func newAudit(entries []sql.AuditEntry) []AuditEntry {
	shown := []AuditEntry{}
	for _, e := range entries {
		shown = append(shown, AuditEntry{
			ID: strconv.FormatInt(e.ID, 10), At: e.At.UTC(), Actor: e.Actor.Name, Role: Role(e.Actor.Role), Address: e.Actor.Address,
			Action: e.Action, Kind: e.Kind, Object: e.Object, Reason: e.Actor.Reason, Result: e.Result, Details: e.Details,
		})
	}
	return shown
}

// AuditFilter says which entries are meant. An empty field matches all.
type AuditFilter struct {
	Actor        string
	Action       string
	Kind         sql.AuditKind
	Object       string // needs Kind
	Since, Until Moment
}

// AuditLimit is the most entries that one page may have.
const AuditLimit = 1000

// Audit lists entries, the youngest first.
func (s *Service) Audit(ctx context.Context, f AuditFilter, at At) (Page[AuditEntry], error) {
	most, err := at.limit(AuditLimit)
	if err != nil {
		return Page[AuditEntry]{}, err
	}
	if f.Object != "" && f.Kind == "" {
		return Page[AuditEntry]{}, invalid("kind", "an object needs its kind")
	}
	found, err := s.store.Audit(ctx, sql.AuditFilter{
		Actor: f.Actor, Action: f.Action, Kind: f.Kind, Object: f.Object, Since: f.Since.Time, Until: f.Until.Time,
	}, sql.Cursor(at.Cursor), most)
	if err != nil {
		return Page[AuditEntry]{}, cursorError(err)
	}
	return newPage(newAudit(found.Entries), string(found.Next)), nil
}

// Note writes an entry about what changes nothing in the database, such as a sign-in or a refusal.
func (s *Service) Note(ctx context.Context, actor Actor, action, result string) error {
	return s.by(actor).Note(ctx, sql.AuditEntry{Action: action, Kind: sql.AuditSession, Result: result})
}
