package api

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"relay/admin/access"
	"relay/operate"
)

// noteTime bounds the writing of a note: a database that does not answer must keep no operator out.
const noteTime = time.Second

// newNotes bounds how many refusals are noted: a flood of them must not fill the audit.
func newNotes() *rate.Limiter { return rate.NewLimiter(1, 20) }

// note writes events into the audit that change nothing in the database: sign-ins, and refusals up to a limited rate.
func (a *API) note(ctx context.Context, who access.Identity, action, result string) {
	if !a.notes.Allow() {
		return
	}
	service, err := a.service()
	if err != nil {
		return
	}
	role := operate.Role(who.Role)
	if who.Role == access.None {
		role = "none"
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	err = service.Note(ctx, operate.Actor{Name: who.Name, Role: role, Address: who.Address}, action, result)
	if err != nil {
		a.Log.WarnContext(ctx, "the audit could not be written", "action", action, "error", err)
	}
}
