package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"
)

// volatile are the parts of an answer that differ each time. A quote within a string of JSON is escaped, so that
// nothing that people wrote looks like them.
var volatile = regexp.MustCompile(`"(as_of|counted_at)":"[^"]*"|"took_ms":[0-9.e+-]+`)

// tagged serves a request. A GET gets an ETag of the content, and 304 if that is what the client has: the
// console asks every second or two, and most of the time nothing has changed.
func tagged(w http.ResponseWriter, r *http.Request, h http.Handler) {
	if r.Method != http.MethodGet {
		h.ServeHTTP(w, r)
		return
	}
	held := &heldAnswer{ResponseWriter: w, status: http.StatusOK}
	h.ServeHTTP(held, r)
	if held.status == http.StatusOK {
		tag := tagOf(w.Header(), held.body.Bytes())
		w.Header().Set("ETag", tag)
		if matches(r.Header.Get("If-None-Match"), tag) {
			w.Header().Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.WriteHeader(held.status)
	_, _ = w.Write(held.body.Bytes()) // a client that has gone away cannot be told
}

// tagOf is the ETag of an answer: after the one that the operation gave, which is a version, the hash of the content.
func tagOf(header http.Header, body []byte) string {
	content := body
	if strings.HasPrefix(header.Get("Content-Type"), "application/json") {
		content = volatile.ReplaceAll(body, nil)
	}
	sum := sha256.Sum256(content)
	version := strings.Trim(header.Get("ETag"), `"`)
	if version != "" {
		version += tagSeparator
	}
	return `"` + version + hex.EncodeToString(sum[:12]) + `"`
}

// tagSeparator divides an ETag into a version and the hash of the content.
const tagSeparator = "."

// matches reports whether a list of ETags, or *, names one.
func matches(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}

// heldAnswer keeps an answer until it is complete.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (h *heldAnswer) WriteHeader(status int) { h.status = status }

// Write implements http.ResponseWriter.
func (h *heldAnswer) Write(p []byte) (int, error) { return h.body.Write(p) }

// Unwrap gives http.ResponseController what it controls.
func (h *heldAnswer) Unwrap() http.ResponseWriter { return h.ResponseWriter }
