package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"relay/admin/access"
)

// requestTime bounds one request, with the wait for a connection to the database.
const requestTime = 10 * time.Second

// ServeHTTP implements http.Handler for all paths below Prefix.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer a.survive(w, r)
	ctx, cancel := context.WithTimeout(r.Context(), requestTime)
	defer cancel()
	r = r.WithContext(ctx)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if p := a.admit(r); p != nil {
		p.write(w)
		return
	}
	who, p := a.identify(w, r)
	if p != nil {
		p.write(w)
		return
	}
	r = r.WithContext(withCaller(ctx, &caller{Identity: who, request: r}))
	tagged(w, r, a.mux)
}

// admit judges what concerns every request, whatever it asks for.
func (a *API) admit(r *http.Request) *Problem {
	if !a.Guard.HostAllowed(r) {
		return problem(http.StatusForbidden, codeHost, "The Host header names none of this machine's loopback addresses, and no token protects this relay.",
			"Use http://localhost or http://127.0.0.1, or set RELAY_ADMIN_TOKEN.")
	}
	if err := a.crossOrigin.Check(r); err != nil {
		return problem(http.StatusForbidden, codeCrossOrigin, "A page of another site sent this request.", "Use the console, or a program.")
	}
	if escaped := r.URL.EscapedPath(); path.Clean(escaped) != escaped {
		return noPath()
	}
	return a.clean(r)
}

// identify returns the identity in whose name the request is made, and renews a session that is half over.
func (a *API) identify(w http.ResponseWriter, r *http.Request) (access.Identity, *Problem) {
	who, err := a.Guard.Identify(r)
	if err != nil {
		return who, a.refuse(r.Context(), who, "session.token", err)
	}
	if renewed, yes := a.Guard.Renewed(who); yes {
		http.SetCookie(w, a.Guard.Cookie(r, renewed))
		who = renewed
	}
	return who, nil
}

// refuse makes a problem of a token that is not taken, and notes it.
func (a *API) refuse(ctx context.Context, who access.Identity, action string, err error) *Problem {
	var slow access.SlowDown
	if errors.As(err, &slow) {
		seconds := int(slow.After/time.Second) + 1
		a.note(ctx, who, action, "refused: too many attempts")
		p := problem(http.StatusTooManyRequests, codeSlowDown, fmt.Sprintf("There were too many attempts to sign in. Try again in %d s.", seconds),
			"Wait. Each wrong token doubles the time, up to 30 s.").with("retry_after", strconv.Itoa(seconds))
		p.header = http.Header{"Retry-After": {strconv.Itoa(seconds)}}
		return p
	}
	a.note(ctx, who, action, "refused: wrong token")
	return unauthorized("This token is not valid.")
}

func unauthorized(detail string) *Problem {
	p := problem(http.StatusUnauthorized, codeUnauthorized, detail,
		"Sign in, or send Authorization: Bearer and the token in RELAY_ADMIN_TOKEN or RELAY_VIEWER_TOKEN.")
	p.header = http.Header{"WWW-Authenticate": {"Bearer"}}
	return p
}

func noPath() *Problem {
	return problem(http.StatusNotFound, codeNotFound, "The API has no such path.", "GET /api/v1/openapi.json lists them.")
}

// serveNothing answers what no operation matches: 405 if another method would have, else 404.
func (a *API) serveNothing(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := a.mux.Handler(other); pattern != "" && pattern != Prefix+"/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 || slices.Contains(allowed, r.Method) {
		noPath().write(w)
		return
	}
	list := strings.Join(allowed, ", ")
	p := problem(http.StatusMethodNotAllowed, codeMethod, "This path does not have this method.", "Allowed: "+list+".").with("allowed", list)
	p.header = http.Header{"Allow": {list}}
	p.write(w)
}

// survive answers 500 after a panic, which ends one request and nothing else.
func (a *API) survive(w http.ResponseWriter, r *http.Request) {
	broken := recover()
	if broken == nil {
		return
	}
	if broken == http.ErrAbortHandler {
		panic(broken)
	}
	a.Log.Error("a request to the API panicked", "method", r.Method, "pattern", r.Pattern, "panic", broken, "stack", string(debug.Stack()))
	internal().write(w)
}

func internal() *Problem {
	return problem(http.StatusInternalServerError, codeInternal, "The relay failed at this request.", "The relay's log says why.")
}

// write answers with the problem.
func (p *Problem) write(w http.ResponseWriter) {
	for name, values := range p.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	body, _ := json.Marshal(p)
	_, _ = w.Write(append(body, '\n')) // a client that has gone away cannot be told
}

// readAll reads what is left of a body, which the server has bounded already.
func readAll(r *http.Request, most int64) ([]byte, error) {
	return io.ReadAll(http.MaxBytesReader(nil, r.Body, most))
}
