package api

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
)

// judge sends requests, and holds each answer to the document.
type judge struct {
	*fixture
	validator validator.Validator
}

func newJudge(t testing.TB, f *fixture) *judge {
	t.Helper()
	document, err := libopenapi.NewDocument(f.Document())
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return &judge{f, v}
}

func (j *judge) do(method, path string, body any, header ...string) answer {
	j.t.Helper()
	got := j.fixture.do(method, path, body, header...)
	request, err := http.NewRequest(method, "http://relay.example"+Prefix+path, strings.NewReader("{}"))
	if err != nil {
		j.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response := &http.Response{StatusCode: got.status, Header: got.header, Body: io.NopCloser(bytes.NewReader(got.body)), Request: request}
	if ok, problems := j.validator.ValidateHttpResponse(request, response); !ok {
		for _, p := range problems {
			j.t.Errorf("%s %s: %s: %s", method, path, p.Message, p.Reason)
			for _, e := range p.SchemaValidationErrors {
				j.t.Errorf("  %s at %s", e.Reason, e.Location)
			}
		}
		j.t.Errorf("  %s", got.body)
	}
	return got
}
