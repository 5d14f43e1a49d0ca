package api

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode"

	"relay/admin/access"
)

// session describes an identity.
func (a *API) session(who access.Identity) Session {
	s := Session{TokenRequired: !a.Guard.Open(), SignedIn: who.Role != access.None}
	if !s.SignedIn {
		return s
	}
	s.Role, s.Name, s.HidePayloads = string(who.Role), who.Name, a.hides(who)
	s.Relay, s.Database, s.Environment = a.Version, a.Settings.Database, a.Settings.Source
	if !who.Expires.IsZero() {
		expires := who.Expires.UTC()
		s.ExpiresAt = &expires
	}
	return s
}

// hides reports whether payloads, headers and answers are hidden from an identity.
func (a *API) hides(who access.Identity) bool {
	return a.Settings.HidePayloads && who.Role != access.Operator
}

func (a *API) getSession(ctx context.Context, _ *sessionInput) (*Answer[Session], error) {
	return &Answer[Session]{a.session(callerOf(ctx).Identity)}, nil
}

func (a *API) signIn(ctx context.Context, in *signInInput) (*sessionOutput, error) {
	c := callerOf(ctx)
	name := cleanName(in.Body.Name)
	judge, word := a.Guard.SignIn, in.Body.Token
	if in.Body.Once != "" {
		judge, word = a.Guard.SignInOnce, in.Body.Once
	}
	who, err := judge(word, name, c.Address)
	who.Name = name
	if err != nil {
		return nil, a.refuse(ctx, who, "session.signin", err)
	}
	a.note(ctx, who, "session.signin", "signed in")
	cookie := a.Guard.Cookie(c.request, who)
	return &sessionOutput{SetCookie: cookie.String(), Body: a.session(who)}, nil
}

func (a *API) makeLink(ctx context.Context, _ *linkInput) (*Answer[Link], error) {
	word := a.Guard.Link()
	a.note(ctx, callerOf(ctx).Identity, "session.link", "a link was made")
	return &Answer[Link]{Link{Once: word, Path: "/signin#once=" + word, ExpiresAt: time.Now().Add(access.LinkTime).UTC()}}, nil
}

func (a *API) signOut(ctx context.Context, _ *sessionInput) (*sessionOutput, error) {
	c := callerOf(ctx)
	if c.Role != access.None {
		a.note(ctx, c.Identity, "session.signout", "signed out")
	}
	nobody := access.Identity{Address: c.Address}
	if a.Guard.Open() {
		nobody.Role = access.Operator
	}
	return &sessionOutput{SetCookie: access.NoCookie(c.request).String(), Body: a.session(nobody)}, nil
}

// cleanName is a name on one line.
func cleanName(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, name))
}

func (a *API) getSettings(context.Context, *polledInput) (*Answer[Settings], error) {
	return &Answer[Settings]{a.Settings}, nil
}

func (a *API) registerSession() {
	register(a, operation{
		id: "get-openapi", method: http.MethodGet, path: "/openapi.json", summary: "This document", raw: "application/json",
	}, a.getDocument)
	register(a, operation{
		id: "get-settings", method: http.MethodGet, path: "/settings", summary: "Values of the relay's variables",
	}, a.getSettings)
	register(a, operation{
		id: "get-session", method: http.MethodGet, path: "/session", summary: "The identity behind the request",
		description: "Answers 200 without a token, too, and says whether one is needed.",
	}, a.getSession)
	register(a, operation{
		id: "sign-in", method: http.MethodPost, path: "/signin", summary: "Sign in by cookie",
		description: "Programs send Authorization: Bearer and a token instead.",
	}, a.signIn)
	register(a, operation{
		id: "make-link", method: http.MethodPost, path: "/signin/links", summary: "Make a link that signs in an operator once",
		description: "It holds for ten minutes, at the relay that made it.", status: http.StatusCreated,
	}, a.makeLink)
	register(a, operation{
		id: "sign-out", method: http.MethodPost, path: "/signout", summary: "Sign out",
	}, a.signOut)
}
