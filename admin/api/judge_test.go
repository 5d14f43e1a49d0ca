package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

// judge sends requests, and holds each answer to the document.
type judge struct {
	*fixture
	paths *http.ServeMux // of the document
}

func newJudge(t testing.TB, f *fixture) *judge {
	t.Helper()
	j := &judge{f, http.NewServeMux()}
	for _, op := range f.operations() {
		j.paths.Handle(op.Method+" "+Prefix+op.Path, described{op})
	}
	return j
}

// described is what the document says of an operation.
type described struct{ *huma.Operation }

// ServeHTTP implements http.Handler; the mux only looks operations up.
func (described) ServeHTTP(http.ResponseWriter, *http.Request) {}

func (j *judge) do(method, path string, body any, header ...string) answer {
	j.t.Helper()
	got := j.fixture.do(method, path, body, header...)
	request, err := http.NewRequest(method, "http://relay.example"+Prefix+path, nil)
	if err != nil {
		j.t.Fatal(err)
	}
	handler, _ := j.paths.Handler(request)
	op, known := handler.(described)
	if !known {
		j.t.Fatalf("%s %s is not described", method, path)
	}
	response := op.Responses[strconv.Itoa(got.status)]
	if response == nil {
		response = op.Responses["default"]
	}
	media, _, _ := strings.Cut(got.header.Get("Content-Type"), ";")
	content := response.Content[media]
	if content == nil {
		j.t.Errorf("%s %s: status %d with %q is not described", method, path, got.status, media)
		return got
	}
	if strings.HasSuffix(media, "json") {
		j.holds(method+" "+path, got.body, content.Schema)
	}
	return got
}

// holds checks JSON against a schema of the document.
func (j *judge) holds(what string, body []byte, schema *huma.Schema) {
	j.t.Helper()
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		j.t.Errorf("%s: %v", what, err)
		return
	}
	result := &huma.ValidateResult{}
	huma.Validate(j.huma.OpenAPI().Components.Schemas, schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, value, result)
	for _, err := range result.Errors {
		j.t.Errorf("%s: %v", what, err)
	}
}
