package api

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
)

// published is a public validator of what openapi.json says. TestDocument holds the file to what the API publishes.
var published = sync.OnceValues(func() (validator.Validator, error) {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		return nil, err
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(document, config.WithFormatAssertions())
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return v, nil
})

// judge holds an answer to the document. What the document does not know may only be refused.
func judge(t testing.TB, r *http.Request, a answer) {
	t.Helper()
	v, err := published()
	if err != nil {
		t.Fatal(err)
	}
	if len(a.body) == 0 {
		return
	}
	response := &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), Request: r}
	valid, errs := v.ValidateHttpResponse(r, response)
	if valid {
		return
	}
	for _, err := range errs {
		if err.IsPathMissingError() && (a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed || a.status == http.StatusBadRequest) {
			continue
		}
		t.Errorf("%s %s: %d %.500s: %s: %s", r.Method, r.URL.Path, a.status, a.body, err.Message, err.Reason)
		for _, detail := range err.SchemaValidationErrors {
			t.Errorf("at %s: %s", detail.FieldPath, detail.Reason)
		}
	}
}

// A judge that finds nothing wrong with anything would be none.
func TestTheJudgeFindsWhatTheDocumentDoesNotSay(t *testing.T) {
	t.Parallel()
	v, err := published()
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]bool{
		`{"items":[],"complete":true,"as_of":"2026-01-31T12:00:00Z","took_ms":1}`:              true,
		`{"items":[],"complete":"yes","as_of":"2026-01-31T12:00:00Z","took_ms":1}`:             false,
		`{"items":[],"complete":true,"as_of":"yesterday","took_ms":1}`:                         false,
		`{"items":[{"id":1}],"complete":true,"as_of":"2026-01-31T12:00:00Z","took_ms":1}`:      false,
		`{"items":[],"complete":true,"as_of":"2026-01-31T12:00:00Z","took_ms":1,"more":"yes"}`: false,
	} {
		r, err := http.NewRequest(http.MethodGet, "http://relay.example"+Prefix+"/audit", nil)
		if err != nil {
			t.Fatal(err)
		}
		response := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader([]byte(body)))}
		if valid, _ := v.ValidateHttpResponse(r, response); valid != want {
			t.Errorf("%s is judged valid: %v, want %v", body, valid, want)
		}
	}
}
