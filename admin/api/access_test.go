package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"relay/admin/access"
	"relay/test/harness"
)

// operations lists what the document describes.
func (f *fixture) operations() (all []*huma.Operation) {
	for _, item := range f.huma.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Delete, item.Patch, item.Head, item.Options} {
			if op != nil {
				all = append(all, op)
			}
		}
	}
	return all
}

// somewhere fills the parameters of a path.
func somewhere(path string) string {
	return strings.NewReplacer("{id}", "018f0000-0000-7000-8000-000000000000", "{name}", "none", "{source}", "none").Replace(path)
}

// TestRolesOfEveryOperation walks through all operations with each role.
func TestRolesOfEveryOperation(t *testing.T) {
	t.Parallel()
	f := serve(t, Config{})
	seen := 0
	for _, op := range f.operations() {
		needs := roles[op.OperationID]
		seen++
		if op.Method != http.MethodGet && needs != operator && needs != anybody {
			t.Errorf("%s changes something, and a viewer may", op.OperationID)
		}
		if op.OperationID == "sign-in" {
			continue // it judges the token in its body, and slows down those that follow a wrong one
		}
		for role, token := range map[access.Role]string{access.None: "", access.Viewer: "Bearer " + viewerToken, access.Operator: "Bearer " + adminToken} {
			body := any("{}")
			if op.Method == http.MethodGet {
				body = nil
			}
			got := f.do(op.Method, somewhere(op.Path), body, "Authorization", token)
			refused := got.status == http.StatusUnauthorized || got.status == http.StatusForbidden
			switch {
			case refused == role.May(needs):
				t.Errorf("%s with the role %q: status %d", op.OperationID, role, got.status)
			case refused && role == access.None && got.status != http.StatusUnauthorized, refused && role == access.Viewer && got.status != http.StatusForbidden:
				t.Errorf("%s with the role %q: status %d", op.OperationID, role, got.status)
			}
			if refused {
				got.problem(t)
			}
		}
	}
	if seen != len(roles) {
		t.Errorf("%d operations, and roles names %d", seen, len(roles))
	}
}

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	f := serve(t, Config{Settings: Settings{HidePayloads: true, Database: "shop"}})
	var s Session
	f.do("GET", "/session", nil, "Authorization", "").into(t, 200, &s)
	if s.SignedIn || !s.TokenRequired || s.Database != "" {
		t.Errorf("without a token: %+v", s)
	}
	in := f.do("POST", "/signin", SignIn{Token: viewerToken, Name: "Ada\n Lovelace"}, "Authorization", "")
	in.into(t, 200, &s)
	if !s.SignedIn || s.Role != "viewer" || s.Name != "Ada Lovelace" || !s.HidePayloads || s.ExpiresAt == nil || s.Database != "shop" {
		t.Errorf("signed in: %+v", s)
	}
	set := in.header.Get("Set-Cookie")
	if !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Strict") || strings.Contains(set, viewerToken) {
		t.Errorf("cookie %q", set)
	}
	cookie, _, _ := strings.Cut(set, ";")
	f.do("GET", "/session", nil, "Authorization", "", "Cookie", cookie).into(t, 200, &s)
	if s.Name != "Ada Lovelace" {
		t.Errorf("by cookie: %+v", s)
	}
	out := f.do("POST", "/signout", nil, "Authorization", "", "Cookie", cookie)
	out.into(t, 200, &s)
	if s.SignedIn || !strings.Contains(out.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("signed out: %+v, %q", s, out.header.Get("Set-Cookie"))
	}
}

func TestWrongTokensAreSlowedDown(t *testing.T) {
	t.Parallel()
	f := serve(t, Config{})
	p := f.do("POST", "/signin", SignIn{Token: "guess-that-must-not-come-back"}, "Authorization", "").problem(t)
	if p.Status != 401 || p.Code != codeUnauthorized {
		t.Errorf("wrong token: %+v", p)
	}
	// Each wrong token doubles the wait: after three it is longer than a busy machine takes for the next request.
	for range 2 {
		harness.Eventually(t, 20*time.Second, "another token is judged", func() bool {
			return f.do("POST", "/signin", SignIn{Token: "another guess"}, "Authorization", "").problem(t).Status == 401
		})
	}
	slow := f.do("POST", "/signin", SignIn{Token: adminToken}, "Authorization", "")
	p = slow.problem(t)
	if p.Status != 429 || p.Code != codeSlowDown || slow.header.Get("Retry-After") == "" || p.Parameters["retry_after"] != slow.header.Get("Retry-After") {
		t.Errorf("at once again: %+v, Retry-After %q", p, slow.header.Get("Retry-After"))
	}
	if p := f.do("GET", "/settings", nil).problem(t); p.Status != 429 {
		t.Errorf("a bearer token is a guess, too: %d", p.Status)
	}
}

func TestLinkSignsInOnce(t *testing.T) {
	t.Parallel()
	f := serve(t, Config{})
	word := f.Guard.Link()
	var s Session
	f.do("POST", "/signin", SignIn{Once: word, Name: "Ada"}, "Authorization", "").into(t, 200, &s)
	if s.Role != "operator" || s.Name != "Ada" {
		t.Errorf("%+v", s)
	}
	if p := f.do("POST", "/signin", SignIn{Once: word}, "Authorization", "").problem(t); p.Status != 401 {
		t.Errorf("twice: %d", p.Status)
	}
}

func TestWithoutATokenOnlyThisMachinesNamesAreServed(t *testing.T) {
	t.Parallel()
	f := serve(t, Config{Guard: access.New("", "")})
	if got := f.do("GET", "/settings", nil, "Authorization", ""); got.status != 200 {
		t.Errorf("on loopback: %d", got.status)
	}
	if p := f.do("GET", "/settings", nil, "Authorization", "", "Host", "rebound.example").problem(t); p.Status != 403 || p.Code != codeHost {
		t.Errorf("with a name that was rebound: %+v", p)
	}
}

func TestChangesFromOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	f := serve(t, Config{})
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		if p := f.do("POST", "/messages/retry", ChangeMany{}, header...).problem(t); p.Status != 403 || p.Code != codeCrossOrigin {
			t.Errorf("%v: %+v", header, p)
		}
	}
	if got := f.do("GET", "/settings", nil, "Sec-Fetch-Site", "cross-site"); got.status != 200 {
		t.Errorf("a link from another site to a page that changes nothing: %d", got.status)
	}
	if got := f.do("POST", "/signout", nil, "Sec-Fetch-Site", "same-origin"); got.status != 200 {
		t.Errorf("the console's own: %d", got.status)
	}
}
