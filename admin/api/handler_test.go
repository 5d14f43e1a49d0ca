package api

import (
	"net/http"
	"strings"
	"testing"
)

func TestEveryErrorIsAProblem(t *testing.T) {
	t.Parallel()
	f := serve(t, Config{})
	for name, c := range map[string]struct {
		method, path string
		body         any
		header       []string
		status       int
		code         string
	}{
		"no such path":          {"GET", "/nothing", nil, nil, 404, codeNotFound},
		"slash at the end":      {"GET", "/settings/", nil, nil, 404, codeNotFound},
		"empty segment":         {"GET", "/messages//payload", nil, nil, 404, codeNotFound},
		"way up":                {"GET", "/messages/../settings", nil, nil, 404, codeNotFound},
		"no such method":        {"DELETE", "/settings", nil, nil, 405, codeMethod},
		"no such method either": {"PATCH", "/messages", "{}", nil, 405, codeMethod},
		"unknown parameter":     {"GET", "/settings?topicc=x", nil, nil, 422, codeUnknownParam},
		"NUL in the query":      {"GET", "/messages?key=a%00b", nil, nil, 400, codeMalformed},
		"no UTF-8 in the query": {"GET", "/messages?key=%ff", nil, nil, 400, codeMalformed},
		"no UTF-8 in the path":  {"GET", "/subscriptions/%ff", nil, nil, 400, codeMalformed},
		"NUL in the path":       {"GET", "/subscriptions/%00", nil, nil, 400, codeMalformed},
		"bad escape":            {"GET", "/messages?key=%zz", nil, nil, 400, codeMalformed},
		"NUL in the body":       {"POST", "/messages", `{"topic":"a\u0000b"}`, nil, 400, codeMalformed},
		"no UTF-8 in the body":  {"POST", "/messages", "{\"topic\":\"\xff\"}", nil, 400, codeMalformed},
		"no UTF-8 in a header":  {"POST", "/messages", `{"topic":"a"}`, []string{"Idempotency-Key", "\xff"}, 400, codeMalformed},
		"no JSON":               {"POST", "/messages", `{`, nil, 400, codeMalformed},
		"no body":               {"POST", "/messages", "", nil, 400, codeMalformed},
		"other media type":      {"POST", "/messages", `<a/>`, []string{"Content-Type", "text/xml"}, 415, codeMediaType},
		"unknown property":      {"POST", "/messages", `{"topic":"a","topicc":"b"}`, nil, 422, codeInvalid},
		"huge number":           {"GET", "/messages?limit=99999999999999999999999", nil, nil, 422, codeInvalid},
		"limit":                 {"GET", "/messages?limit=501", nil, nil, 422, codeInvalid},
		"enum":                  {"GET", "/messages?status=gone", nil, nil, 422, codeInvalid},
		"too large":             {"POST", "/messages/retry", `{"ids":["` + strings.Repeat("x", maxBody) + `"]}`, nil, 413, codeTooLarge},
		"no database":           {"GET", "/messages", nil, nil, 503, "unavailable"},
	} {
		p := f.do(c.method, c.path, c.body, c.header...).problem(t)
		if p.Status != c.status || p.Code != c.code || p.Type != "urn:relay:problem:"+c.code || p.Detail == "" || p.Parameters == nil {
			t.Errorf("%s: %+v; want %d, %s", name, p, c.status, c.code)
		}
	}
}

func TestProblemsDoNotEchoSecrets(t *testing.T) {
	t.Parallel()
	f := serve(t, Config{})
	const secret = "whsec_hush-hush"
	for _, body := range []string{
		`{"topics":"` + secret + `","target":"http://user:` + secret + `@h/"}`,
		`{"topics":["a"],"target":"http://h/","add_secret":["` + secret + `"]}`,
		`{"topics":["a"],"headers":[{"name":"authorization","value":{"` + secret + `":1}}]}`,
		`{"add_secret":"` + secret + `"`,
		`{"add_secret":"` + secret + `", "unknown":"` + secret + `"}`,
	} {
		got := f.do("PUT", "/subscriptions/a", body)
		got.problem(t)
		if strings.Contains(string(got.body), "hush-hush") {
			t.Errorf("the answer to %s holds the secret: %s", body, got.body)
		}
	}
}

func TestAnswersThatHaveNotChangedAreNotSentAgain(t *testing.T) {
	t.Parallel()
	f := serve(t, Config{Settings: Settings{Source: "shop"}})
	first := f.do("GET", "/settings", nil)
	tag := first.header.Get("ETag")
	if first.status != 200 || tag == "" || first.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d, ETag %q, %v", first.status, tag, first.header)
	}
	for header, status := range map[string]int{tag: 304, "W/" + tag: 304, `"other", ` + tag: 304, "*": 304, `"other"`: 200, "": 200} {
		got := f.do("GET", "/settings", nil, "If-None-Match", header)
		if got.status != status || status == 304 && len(got.body) > 0 {
			t.Errorf("If-None-Match %q: %d with %d bytes; want %d", header, got.status, len(got.body), status)
		}
	}
}

func TestETagsLeaveOutWhatDiffersEachTime(t *testing.T) {
	t.Parallel()
	header := http.Header{"Content-Type": {"application/json"}}
	tag := func(body string) string { return tagOf(header, []byte(body)) }
	same := tag(`{"items":[],"as_of":"2026-11-30T12:00:00Z","took_ms":0.25}`)
	if got := tag(`{"items":[],"as_of":"2026-11-30T12:00:01.5Z","took_ms":1e-7}`); got != same {
		t.Error("time and duration of the answer change the ETag")
	}
	if tag(`{"topic":"\"as_of\":\"a\""}`) == tag(`{"topic":"\"as_of\":\"b\""}`) {
		t.Error("what a person wrote does not change the ETag")
	}
}

func TestNULsAreFoundHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		`"a\u0000b"`: true, `"\\\u0000"`: true, `"\u0000`: true, "\"a\x00\"": true, `"\\u0000 \u0000"`: true,
		`"a\\u0000b"`: false, `"\\\\u0000"`: false, `"u0000"`: false, `""`: false,
	} {
		if got := hasNUL([]byte(body)); got != want {
			t.Errorf("%s: %v", body, got)
		}
	}
}
