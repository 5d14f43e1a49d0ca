package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// headersRead are the headers of a request that reach the database.
var headersRead = []string{"Idempotency-Key", "If-Match", "If-None-Match"}

// clean refuses what no text column can hold: invalid UTF-8 and NUL, in path, query, headers and body. PostgreSQL
// would fail on both, long after.
func (a *API) clean(r *http.Request) *Problem {
	if !isText(r.URL.Path) {
		return malformed("The path is not UTF-8, or holds a NUL.")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return malformed("The query cannot be read.")
	}
	for name, values := range query {
		if !isText(name) || !isText(strings.Join(values, "")) {
			return malformed("The query is not UTF-8, or holds a NUL.")
		}
	}
	for _, name := range headersRead {
		if !isText(r.Header.Get(name)) {
			return malformed("The header " + name + " is not UTF-8.")
		}
	}
	return a.cleanBody(r)
}

func (a *API) cleanBody(r *http.Request) *Problem {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	body, err := readAll(r, a.maxBody)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return fromHuma(http.StatusRequestEntityTooLarge, "The body is too large.").(*Problem)
	case err != nil:
		return malformed("The body could not be read.")
	case !utf8.Valid(body):
		return malformed("The body is not UTF-8.")
	case hasNUL(body):
		return malformed(`The body holds a NUL (\u0000), which no text column can hold.`)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

func malformed(detail string) *Problem {
	return problem(http.StatusBadRequest, codeMalformed, detail, hintOfStatus(http.StatusBadRequest))
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// hasNUL reports whether JSON holds a NUL, as it is or escaped: \u0000 after an even number of backslashes.
func hasNUL(body []byte) bool {
	if bytes.IndexByte(body, 0) >= 0 {
		return true
	}
	for rest := body; ; {
		at := bytes.Index(rest, []byte(`\u0000`))
		if at < 0 {
			return false
		}
		before := len(rest[:at]) - len(bytes.TrimRight(rest[:at], `\`))
		if before%2 == 0 {
			return true
		}
		rest = rest[at+1:]
	}
}
