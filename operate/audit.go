package operate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"relay/sql"
)

// AuditEntry says which actor did what to which object.
type AuditEntry struct {
	ID      string        `json:"id" doc:"A number of 64 bits."`
	At      time.Time     `json:"at"`
	Name    string        `json:"name" doc:"As the person said; nothing proves it."`
	Role    string        `json:"role" doc:"viewer, operator, cli, or none."`
	Address string        `json:"address,omitempty" doc:"From which the request came."`
	Action  string        `json:"action" doc:"As message.retry, subscription.set, job.stop, key.skip or session.signin."`
	Kind    string        `json:"object_kind" doc:"message, subscription, key, job, failure, session or database."`
	Object  string        `json:"object,omitempty" doc:"Id or name."`
	Result  string        `json:"result,omitempty" doc:"What it came to."`
	Reason  string        `json:"reason,omitempty" doc:"As the person gave it."`
	Details []AuditDetail `json:"details" doc:"More facts."`
}

// AuditDetail is one more fact.
type AuditDetail struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// AuditFilter says which entries are meant. An empty field matches all.
type AuditFilter struct {
	Name, Role, Action, Kind, Object string
	Since, Until                     Moment
}

// Audit lists the entries of the audit, the youngest first.
func (s *Service) Audit(ctx context.Context, f AuditFilter, at At) (Page[AuditEntry], error) {
	most, err := at.limit(MessageLimit)
	if err != nil {
		return Page[AuditEntry]{}, err
	}
	if f.Object != "" && f.Kind == "" {
		return Page[AuditEntry]{}, invalid("object", "it needs object_kind")
	}
	found, err := s.store.Audit(ctx, sql.AuditFilter{
		Actor: f.Name, Role: f.Role, Action: f.Action, Kind: sql.AuditKind(f.Kind), Object: f.Object, Since: f.Since.Time, Until: f.Until.Time,
	}, sql.Cursor(at.Cursor), most)
	if err != nil {
		return Page[AuditEntry]{}, cursorError(err)
	}
	var items []AuditEntry
	for _, e := range found.Entries {
		items = append(items, newAuditEntry(e))
	}
	return newPage(items, string(found.Next)), nil
}

func newAuditEntry(e sql.AuditEntry) AuditEntry {
	a := AuditEntry{
		ID: strconv.FormatInt(e.ID, 10), At: e.At.UTC(), Name: e.Actor.Name, Role: e.Actor.Role, Address: e.Actor.Address, Action: e.Action,
		Kind: string(e.Kind), Object: e.Object, Result: e.Result, Reason: e.Actor.Reason, Details: []AuditDetail{},
	}
	var details map[string]any
	if json.Unmarshal(e.Details, &details) != nil {
		return a
	}
	for _, name := range slices.Sorted(maps.Keys(details)) {
		value, isText := details[name].(string)
		if !isText {
			text, _ := json.Marshal(details[name]) // it was JSON
			value = string(text)
		}
		a.Details = append(a.Details, AuditDetail{Name: name, Value: value})
	}
	return a
}

// Note writes into the audit what changes nothing else in the database, such as a sign-in or a refusal.
func (s *Service) Note(ctx context.Context, actor Actor, action, result string) error {
	return s.by(actor).Note(ctx, sql.AuditEntry{Action: action, Kind: sql.AuditSession, Result: result})
}

// auditFailure is the kind of object that a group of failures is.
const auditFailure sql.AuditKind = "failure"

// noteAction is the action with which a note at a group of failures stands in the audit.
const noteAction = "failure.note"

// FailureNote is what a person wrote at a group of failures.
type FailureNote struct {
	Text string    `json:"text" doc:"Empty: it was removed."`
	By   string    `json:"by,omitempty"`
	At   time.Time `json:"at"`
}

// SetNote writes a note at a group of failures, in place of the one before.
func (s *Service) SetNote(ctx context.Context, actor Actor, subscription, cause, text string) (FailureNote, error) {
	for field, value := range map[string]string{"subscription": subscription, "cause": cause, "text": text} {
		if err := storable(field, value); err != nil {
			return FailureNote{}, err
		}
	}
	e := sql.AuditEntry{Action: noteAction, Kind: auditFailure, Object: groupName(subscription, cause), Result: text}
	if err := s.by(actor).Note(ctx, e); err != nil {
		return FailureNote{}, err
	}
	return FailureNote{Text: text, By: actor.Name, At: time.Now().UTC()}, nil
}

// groupName names a group of failures in the audit.
func groupName(subscription, cause string) string { return fmt.Sprintf("%s/%s", subscription, cause) }

// notes reads the last note at each group.
func (s *Service) notes(ctx context.Context) (map[string]FailureNote, error) {
	const most = 1000
	page, err := s.store.Audit(ctx, sql.AuditFilter{Kind: auditFailure, Action: noteAction}, "", most)
	if err != nil {
		return nil, err
	}
	all := make(map[string]FailureNote)
	for _, e := range page.Entries {
		if _, newer := all[e.Object]; !newer {
			all[e.Object] = FailureNote{Text: e.Result, By: e.Actor.Name, At: e.At.UTC()}
		}
	}
	return all, nil
}
