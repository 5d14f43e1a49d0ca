package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"relay/admin/access"
	"relay/operate"
)

// allow lets a request through whose caller has the role that its operation needs.
func (a *API) allow(needs access.Role) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		_, w := humago.Unwrap(ctx)
		who := callerOf(ctx.Context()).Identity
		switch {
		case who.Role.May(needs):
			next(ctx)
		case who.Role == access.None:
			unauthorized("This takes a token.").write(w)
		default:
			a.note(ctx.Context(), who, "session.refused", ctx.Operation().OperationID+": the role "+string(who.Role)+" may not")
			problem(http.StatusForbidden, codeForbidden, "Viewers may look, not change.", "Sign in with RELAY_ADMIN_TOKEN.").write(w)
		}
	}
}

// actor is the caller as the audit notes it.
func actor(ctx context.Context, reason string) operate.Actor {
	who := callerOf(ctx).Identity
	return operate.Actor{Name: who.Name, Role: operate.Role(who.Role), Address: who.Address, Reason: reason}
}

// service returns what does the work, or the problem that there is none yet.
func (a *API) service() (*operate.Service, error) {
	if a.Service != nil {
		if s := a.Service(); s != nil {
			return s, nil
		}
	}
	p := problem(http.StatusServiceUnavailable, string(operate.CodeUnavailable), "The relay is starting and has no database yet.", "Try again.")
	p.header = http.Header{"Retry-After": {"1"}}
	return nil, p
}

// statusOf is the HTTP status for each code of package operate.
var statusOf = map[operate.Code]int{
	operate.CodeInvalid:        http.StatusUnprocessableEntity,
	operate.CodeNoMessage:      http.StatusNotFound,
	operate.CodeNoSubscription: http.StatusNotFound,
	operate.CodeNoKey:          http.StatusNotFound,
	operate.CodeNoJob:          http.StatusNotFound,
	operate.CodeExists:         http.StatusConflict,
	operate.CodeOutstanding:    http.StatusConflict,
	operate.CodeLocked:         http.StatusConflict,
	operate.CodeSearchLimit:    http.StatusUnprocessableEntity,
	operate.CodeTooLarge:       http.StatusUnprocessableEntity,
	operate.CodeOtherRequest:   http.StatusUnprocessableEntity,
	operate.CodeVersion:        http.StatusPreconditionFailed,
	operate.CodeNotMigrated:    http.StatusServiceUnavailable,
	operate.CodeDenied:         http.StatusServiceUnavailable,
	operate.CodeUnavailable:    http.StatusServiceUnavailable,
}

// hints say what to do about each code.
var hints = map[operate.Code]string{
	operate.CodeNoMessage:    "Done and cancelled messages are removed after RELAY_RETENTION.",
	operate.CodeNoJob:        "GET /api/v1/jobs lists the jobs.",
	operate.CodeOutstanding:  "Let them end, or ask for cancel_outstanding=true.",
	operate.CodeLocked:       "Another session holds the rows. Try again.",
	operate.CodeSearchLimit:  "Give a key, a status, a subscription or a shorter range of time.",
	operate.CodeTooLarge:     "Read it with SQL.",
	operate.CodeOtherRequest: "Choose a new Idempotency-Key.",
	operate.CodeVersion:      "Look at the subscription again, and send its new ETag.",
	operate.CodeNotMigrated:  "Run relay migrate.",
	operate.CodeDenied:       "Run relay doctor.",
	operate.CodeUnavailable:  "The database does not answer in time. Try again; relay doctor says more.",
}

// failed makes a problem of an error of package operate. It logs an error that it does not know, and tells the
// client nothing of its text.
func (a *API) failed(ctx context.Context, err error) error {
	var own *Problem
	if err == nil || errors.As(err, &own) {
		return err
	}
	code := operate.CodeOf(err)
	status, known := statusOf[code]
	if !known {
		a.Log.ErrorContext(ctx, "a request to the API failed", "error", err)
		return internal()
	}
	detail := http.StatusText(status)
	var told *operate.Error
	if errors.As(err, &told) {
		detail = told.Error()
	}
	if code == operate.CodeSearchLimit {
		detail = "The search took longer than it may."
	}
	if code == operate.CodeUnavailable {
		a.Log.WarnContext(ctx, "a request to the API failed", "error", err)
		detail = "The database did not answer in time."
	}
	p := problem(status, string(code), detail, hints[code])
	if told != nil && told.Field != "" {
		p.with("field", told.Field)
		p.Errors = []Mistake{{Location: told.Field, Message: told.Text}}
	}
	if status == http.StatusServiceUnavailable {
		p.header = http.Header{"Retry-After": {"2"}}
	}
	return p
}
