package test

import (
	"testing"
)

// TestConsoleAccess signs in by the form, as a viewer and as an operator, and ends a session in the middle of an
// action.
func TestConsoleAccess(t *testing.T) {
	t.Parallel()
	s := newTroubledSystem(t, "RELAY_HIDE_PAYLOADS=true")
	id := s.dead(t)
	b := openBrowser(t, "http://"+s.relay.admin)

	b.open("/messages/" + id)
	b.shows("the sign-in page that knows where to go", "location.pathname === '/signin' && new URLSearchParams(location.search).get('to') === '/messages/"+id+"'")
	b.fill("Token", "not-the-token-of-anything")
	b.click("Sign in")
	b.has("This token is not valid.")
	b.fill("Token", viewerToken)
	b.fill("Your name", "Vera")
	b.shows("a field that took the token", "true")
	signInAfterWait(b)
	b.shows("the page that was wanted", "location.pathname === '/messages/"+id+"'")
	b.has("hidden for viewers")
	for _, path := range []string{"/messages/" + id, "/messages?since=all", "/failures", "/subscriptions/stock", "/subscriptions/stock/settings", "/keys", "/jobs", "/"} {
		b.open(path)
		if n := evaluate[int](b, `[...document.querySelectorAll("main button")].filter((one) => /^(Retry|Cancel|Skip|Pause|Delete|Send|Replay|Copy as new|Review)/.test(one.innerText.trim()) && !one.disabled).length`); n != 0 {
			t.Errorf("%s offers a viewer %d buttons that would fail", path, n)
		}
	}

	b.signIn(operatorToken, "Ada")
	b.open("/messages/" + id)
	b.has("Retry")
	evaluate[int](b, `fetch("/api/v1/signout", { method: "POST" }).then((one) => one.status)`)
	b.press("e")
	b.has("Your session has ended")
	b.fill("Token", operatorToken)
	b.click("Sign in")
	b.shows("the page beneath", "!document.querySelector('dialog[open]')")
	if evaluate[string](b, "location.pathname") != "/messages/"+id {
		t.Error("the page was lost")
	}
	b.has("1 retried")
}

// signInAfterWait presses the form's button until the time that a wrong token costs has passed.
func signInAfterWait(b *browser) {
	b.t.Helper()
	b.shows("a session", `location.pathname !== "/signin" || (document.querySelector(".sign-in-form button:not(:disabled)")?.click(), false)`)
}
