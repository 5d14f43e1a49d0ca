package admin

import (
	"net/http"
)

// apiPolicy forbids a browser to do anything with what the API answers, should a person open it as a page.
const apiPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"

// NewCentre returns what the admin address serves: the API below its prefix, the endpoints that need no token, and the
// console's pages at every other path.
func NewCentre(prefix string, api, endpoints, console http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(prefix+"/", withPolicy(apiPolicy, api))
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		mux.Handle(path, endpoints)
	}
	mux.Handle("/", console)
	return guarded(mux)
}

// guarded sets the headers that hold for everything at the address.
func guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.ServeHTTP(w, r)
	})
}

// withPolicy sets the content security policy.
func withPolicy(policy string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		h.ServeHTTP(w, r)
	})
}
