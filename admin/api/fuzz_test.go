package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

// hostile are values of parameters that break what does not expect them.
var hostile = []string{
	"'", `"; drop table relay.outbox; --`, "%", "_%_", "*.#", "#.#.#", "\x00", "\xff\xfe", "\u202e\ufeff", "😀", strings.Repeat("a", 10_000),
	"99999999999999999999999999", "-1", "1e309", "NaN", "0", "2147483648", "infinity", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "999999999h",
	"2026-01-31T12:00:00+24:00", `{"a":1}`, "[]", "null", "true", `\`, "../..", "00000000-0000-0000-0000-000000000000",
}

// hostileJSON are values of properties, as JSON.
var hostileJSON = []string{
	`"'"`, `"%"`, `"*.#"`, `"\u0000"`, "\"\xff\"", `"\ud800"`, `"😀"`, `"` + strings.Repeat("a", 10_000) + `"`, `1e309`, `99999999999999999999`, `-1`, `0`, `0.5`,
	`2147483648`, `1e300`, `null`, `true`, `[]`, `[null]`, `["a","a"]`, `{}`, `{"a":{"b":1}}`, `""`, `"0001-01-01T00:00:00Z"`, `"9999-12-31T23:59:59Z"`, `"999999999h"`,
	`["00000000-0000-0000-0000-000000000000"]`, `[1e308]`, `[-1]`, `[0]`,
}

// TestNoInputCausesA500 sends each operation what its part of the document names, one hostile value at a time.
func TestNoInputCausesA500(t *testing.T) {
	t.Parallel()
	f, pool := withData(t, Config{Process: stillProcess{}, Settings: Settings{Source: "shop"}})
	fill(t, pool)
	operations := f.operations()
	slices.SortFunc(operations, func(a, b *huma.Operation) int { return strings.Compare(a.OperationID, b.OperationID) })
	for _, op := range operations {
		if op.OperationID == "sign-in" {
			continue // it is slowed down; TestWrongTokensAreSlowedDown
		}
		f.fuzzParameters(op)
		if op.RequestBody != nil {
			f.fuzzBody(op)
		}
	}
}

// fuzzParameters sends hostile values in each parameter.
func (f *fixture) fuzzParameters(op *huma.Operation) {
	f.t.Helper()
	body := f.sample(op)
	for _, p := range op.Parameters {
		for _, value := range hostile {
			path, header := somewhere(op.Path), []string(nil)
			switch p.In {
			case "path":
				path = somewhere(strings.Replace(op.Path, "{"+p.Name+"}", url.PathEscape(value), 1))
			case "query":
				path += "?" + url.Values{p.Name: {value}}.Encode()
			case "header":
				if strings.ContainsAny(value, "\x00") || len(value) > 9000 {
					continue // no client can send it
				}
				header = []string{p.Name, value}
			}
			f.survives(op, path, body, header...)
		}
	}
}

// fuzzBody sends hostile values in each property of a body, and bodies that are none.
func (f *fixture) fuzzBody(op *huma.Operation) {
	f.t.Helper()
	for _, value := range append(hostileJSON, "{", `{"a":`, strings.Repeat("[", 20_000), "\xff", "{}") {
		f.survives(op, somewhere(op.Path), value)
	}
	schema := f.resolve(bodyOf(op))
	var whole map[string]json.RawMessage
	if err := json.Unmarshal([]byte(f.sample(op).(string)), &whole); err != nil {
		f.t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		for _, value := range hostileJSON {
			var parts []string
			for other, kept := range whole {
				if other != name {
					parts = append(parts, fmt.Sprintf("%q:%s", other, kept))
				}
			}
			f.survives(op, somewhere(op.Path), "{"+strings.Join(append(parts, fmt.Sprintf("%q:%s", name, value)), ",")+"}", "If-Match", "*")
		}
	}
}

// survives sends a request, which must not fail within the relay.
func (f *fixture) survives(op *huma.Operation, path string, body any, header ...string) {
	f.t.Helper()
	if op.Method == http.MethodGet {
		body = nil
	}
	got := f.do(op.Method, path, body, header...)
	shown, _ := body.(string)
	if got.status >= 500 {
		f.t.Errorf("%s: %s %.200q %q with %.200q: status %d: %s", op.OperationID, op.Method, path, header, shown, got.status, got.body)
	}
	if got.status >= 400 {
		got.problem(f.t)
	}
}

func bodyOf(op *huma.Operation) *huma.Schema {
	return op.RequestBody.Content["application/json"].Schema
}

func (f *fixture) resolve(s *huma.Schema) *huma.Schema {
	if s.Ref != "" {
		return f.huma.OpenAPI().Components.Schemas.SchemaFromRef(s.Ref)
	}
	return s
}

// sample is a body with what the document requires of an operation; nil: it takes none.
func (f *fixture) sample(op *huma.Operation) any {
	if op.RequestBody == nil {
		return nil
	}
	return f.sampleOf(f.resolve(bodyOf(op)))
}

func (f *fixture) sampleOf(s *huma.Schema) string {
	switch {
	case len(s.Enum) > 0:
		text, _ := json.Marshal(s.Enum[0])
		return string(text)
	case s.Type == huma.TypeArray:
		return "[" + f.sampleOf(f.resolve(s.Items)) + "]"
	case s.Type == huma.TypeInteger, s.Type == huma.TypeNumber:
		return "1"
	case s.Type == huma.TypeBoolean:
		return "false"
	case s.Type == huma.TypeString:
		return `"a"`
	}
	var parts []string
	for _, name := range s.Required {
		parts = append(parts, fmt.Sprintf("%q:%s", name, f.sampleOf(f.resolve(s.Properties[name]))))
	}
	return "{" + strings.Join(parts, ",") + "}"
}
