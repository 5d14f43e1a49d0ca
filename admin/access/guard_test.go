package access

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const (
	adminToken  = "admin-token-of-the-test"
	viewerToken = "viewer-token-of-the-test"
)

// clock is a guard's time, which a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newGuard(admin, viewer string) (*Guard, *clock) {
	c := &clock{time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}
	g := New(admin, viewer)
	g.now = c.now
	return g, c
}

func request(header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://relay.example/api/v1/session", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestTokensGiveRoles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header string
		role   Role
		err    error
	}{
		"operator":           {"Bearer " + adminToken, Operator, nil},
		"viewer":             {"bearer " + viewerToken, Viewer, nil},
		"wrong":              {"Bearer wrong", None, ErrToken},
		"empty":              {"Bearer ", None, ErrToken},
		"other scheme":       {"Basic " + adminToken, None, ErrToken},
		"beginning of one":   {"Bearer " + adminToken[:5], None, ErrToken},
		"nothing is no role": {"", None, nil},
	} {
		g, _ := newGuard(adminToken, viewerToken)
		var header []string
		if c.header != "" {
			header = []string{"Authorization", c.header}
		}
		who, err := g.Identify(request(header...))
		if who.Role != c.role || !errors.Is(err, c.err) {
			t.Errorf("%s: role %q, %v; want %q, %v", name, who.Role, err, c.role, c.err)
		}
	}
}

func TestWithoutTokensEveryRequestIsAnOperators(t *testing.T) {
	t.Parallel()
	g, _ := newGuard("", "")
	who, err := g.Identify(request())
	if err != nil || who.Role != Operator {
		t.Errorf("role %q, %v", who.Role, err)
	}
	g, _ = newGuard("", viewerToken)
	who, err = g.Identify(request("Authorization", "Bearer "))
	if !errors.Is(err, ErrToken) || who.Role != None {
		t.Errorf("an empty token was taken for the operator's, which is not set: %q, %v", who.Role, err)
	}
}

func TestSessionsHoldAtEveryRelayUntilTheyEndOrATokenChanges(t *testing.T) {
	t.Parallel()
	g, c := newGuard(adminToken, viewerToken)
	who, err := g.SignIn(viewerToken, "Ada, day shift", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	cookie := g.Cookie(request(), who)
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Secure {
		t.Errorf("cookie %v", cookie)
	}
	if !g.Cookie(request("X-Forwarded-Proto", "https"), who).Secure {
		t.Error("over TLS the cookie is not Secure")
	}
	with := func(g *Guard, value string) Identity {
		r := request()
		r.AddCookie(&http.Cookie{Name: CookieName, Value: value})
		who, err := g.Identify(r)
		if err != nil {
			t.Fatal(err)
		}
		return who
	}
	other, at := newGuard(adminToken, viewerToken)
	at.at = c.at
	if got := with(other, cookie.Value); got.Role != Viewer || got.Name != "Ada, day shift" {
		t.Errorf("another relay reads %+v", got)
	}
	changed, _ := newGuard(adminToken+"2", viewerToken)
	if got := with(changed, cookie.Value); got.Role != None {
		t.Error("a session outlives its token")
	}
	forged := strings.Replace(cookie.Value, ".viewer.", ".operator.", 1)
	if got := with(g, forged); got.Role != None {
		t.Error("a forged role was believed")
	}
	for _, broken := range []string{"", ".", "v1", "v1.operator.9999999999..x.", strings.Repeat(".", 20)} {
		if got := with(g, broken); got.Role != None {
			t.Errorf("%q was believed", broken)
		}
	}
	c.at = c.at.Add(sessionTime)
	if got := with(g, cookie.Value); got.Role != None {
		t.Error("a session does not end")
	}
}

func TestSessionsAreRenewedWhenHalfIsGone(t *testing.T) {
	t.Parallel()
	g, c := newGuard(adminToken, "")
	who, _ := g.SignIn(adminToken, "Ada", "192.0.2.1")
	c.at = c.at.Add(sessionTime/2 - time.Second)
	if _, renewed := g.Renewed(who); renewed {
		t.Error("renewed too early")
	}
	c.at = c.at.Add(2 * time.Second)
	again, renewed := g.Renewed(who)
	if !renewed || !again.Expires.Equal(c.at.Truncate(time.Second).Add(sessionTime)) || again.Name != "Ada" {
		t.Errorf("renewed %v: %+v", renewed, again)
	}
}

func TestGuessingIsSlowedDownForEachAddress(t *testing.T) {
	t.Parallel()
	g, c := newGuard(adminToken, "")
	wait := time.Duration(0)
	for i := range 8 {
		c.at = c.at.Add(wait)
		if _, err := g.SignIn("wrong", "", "192.0.2.1"); !errors.Is(err, ErrToken) {
			t.Fatalf("attempt %d: %v", i, err)
		}
		var slow SlowDown
		_, err := g.SignIn(adminToken, "", "192.0.2.1")
		if !errors.As(err, &slow) {
			t.Fatalf("after %d wrong tokens a right one was looked at at once: %v", i+1, err)
		}
		if want := min(time.Second<<i, longestWait); slow.After != want {
			t.Errorf("after %d wrong tokens the delay is %s; want %s", i+1, slow.After, want)
		}
		wait = slow.After
	}
	c.at = c.at.Add(wait)
	if _, err := g.SignIn(adminToken, "", "192.0.2.1"); err != nil {
		t.Errorf("after the delay: %v", err)
	}
	if _, err := g.SignIn("wrong", "", "192.0.2.1"); !errors.Is(err, ErrToken) {
		t.Errorf("a right token has not ended the delays: %v", err)
	}
}

func TestGuessingIsSlowedDownForAllAddressesTogether(t *testing.T) {
	t.Parallel()
	g, c := newGuard(adminToken, "")
	if _, err := g.SignIn(adminToken, "", "198.51.100.7"); err != nil {
		t.Fatal(err)
	}
	looked := 0
	for i := range 1000 {
		_, err := g.SignIn("wrong", "", fmt.Sprintf("2001:db8:0:%x::1", i))
		if errors.Is(err, ErrToken) {
			looked++
		}
	}
	if looked != burst {
		t.Errorf("%d of 1000 guesses from as many networks were looked at; want %d", looked, burst)
	}
	if _, err := g.SignIn(adminToken, "", "198.51.100.7"); err != nil {
		t.Errorf("an address that had the right token is locked out by others: %v", err)
	}
	c.at = c.at.Add(refill)
	if _, err := g.SignIn(adminToken, "", "203.0.113.9"); err != nil {
		t.Errorf("a second later a new address is not looked at: %v", err)
	}
}

func TestOneMachineHasOneDelayInIPv6(t *testing.T) {
	t.Parallel()
	g, _ := newGuard(adminToken, "")
	_, _ = g.SignIn("wrong", "", "2001:db8::1")
	var slow SlowDown
	if _, err := g.SignIn(adminToken, "", "2001:db8::ffff"); !errors.As(err, &slow) {
		t.Errorf("another address of the same network: %v", err)
	}
}

func TestMemoryOfAddressesIsBounded(t *testing.T) {
	t.Parallel()
	g, c := newGuard(adminToken, "")
	for i := range 2 * mostAddresses {
		c.at = c.at.Add(refill)
		_, _ = g.SignIn("wrong", "", fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff))
	}
	if n := len(g.brake.addresses); n > mostAddresses {
		t.Errorf("%d addresses are remembered", n)
	}
}

func TestLinksSignInOnce(t *testing.T) {
	t.Parallel()
	g, c := newGuard(adminToken, "")
	word := g.Link()
	who, err := g.SignInOnce(word, "Ada", "192.0.2.1")
	if err != nil || who.Role != Operator || who.Name != "Ada" {
		t.Fatalf("%+v, %v", who, err)
	}
	if _, err := g.SignInOnce(word, "", "192.0.2.1"); !errors.Is(err, ErrToken) {
		t.Errorf("a link signs in twice: %v", err)
	}
	late := g.Link()
	c.at = c.at.Add(LinkTime)
	if _, err := g.SignInOnce(late, "", "192.0.2.2"); !errors.Is(err, ErrToken) {
		t.Errorf("a link does not end: %v", err)
	}
	for range 100 {
		g.Link()
	}
	if n := len(g.links.open); n > mostLinks {
		t.Errorf("%d links are open", n)
	}
}

func TestHostMustBeLoopbackWhereNoTokenIsNeeded(t *testing.T) {
	t.Parallel()
	open, _ := newGuard("", "")
	closed, _ := newGuard(adminToken, "")
	for host, allowed := range map[string]bool{
		"localhost:8470": true, "LOCALHOST": true, "relay.localhost:8470": true, "127.0.0.1:8470": true, "127.8.8.8": true,
		"[::1]:8470": true, "[::ffff:127.0.0.1]:8470": true, "localhost.:8470": true,
		"evil.example:8470": false, "127.0.0.1.evil.example": false, "localhost.evil.example": false, "192.168.0.4:8470": false,
		"": false, "[2001:db8::1]:8470": false, "0.0.0.0:8470": false,
	} {
		r := request()
		r.Host = host
		if got := open.HostAllowed(r); got != allowed {
			t.Errorf("without a token, Host %q: %v; want %v", host, got, allowed)
		}
		if !closed.HostAllowed(r) {
			t.Errorf("with a token, Host %q is refused", host)
		}
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		has, needs Role
		may        bool
	}{
		{None, None, true}, {Viewer, None, true}, {None, Viewer, false}, {None, Operator, false},
		{Viewer, Viewer, true}, {Viewer, Operator, false}, {Operator, Viewer, true}, {Operator, Operator, true},
	} {
		if got := c.has.May(c.needs); got != c.may {
			t.Errorf("%q may %q: %v", c.has, c.needs, got)
		}
	}
}
