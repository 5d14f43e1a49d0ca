package api

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// operation is what the document says of an operation besides its types.
type operation struct {
	id, method, path string
	summary          string
	description      string
	status           int    // of success; zero: 200
	also             []int  // other statuses of success, with the same body
	body             int64  // bytes of the request's body at most; zero: 64 KiB
	raw              string // the media type of an answer that is not made from a type; empty: it is
}

const maxBody = 64 << 10

// register adds an operation to the API. It panics if roles does not name it: a programmer's mistake.
func register[I, O any](a *API, o operation, handler func(context.Context, *I) (*O, error)) {
	needs, known := roles[o.id]
	if !known {
		panic("operation " + o.id + " has no role")
	}
	op := huma.Operation{
		OperationID: o.id, Method: o.method, Path: o.path, Summary: o.summary, Description: o.description,
		DefaultStatus: o.status, MaxBodyBytes: o.body, Tags: []string{tag(o.path)},
		// The server has read the whole body, within its own time, before the handler runs.
		BodyReadTimeout: -1,
		Responses:       make(map[string]*huma.Response),
		Middlewares:     huma.Middlewares{a.allow(needs)},
	}
	if o.body == 0 {
		op.MaxBodyBytes = maxBody
	}
	if needs != anybody {
		op.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	}
	if o.method == http.MethodGet {
		op.Responses[strconv.Itoa(http.StatusNotModified)] = &huma.Response{Description: "What If-None-Match names is still valid."}
	}
	op.Responses["default"] = a.problemResponse()
	if o.raw != "" {
		op.Responses["200"] = &huma.Response{Content: map[string]*huma.MediaType{o.raw: {Schema: &huma.Schema{}}}}
	}
	for _, status := range o.also {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status)}
	}
	huma.Register(a.huma, op, handler)
	a.describeAlso(o)
}

// describeAlso gives the other statuses of success the body of the first one.
func (a *API) describeAlso(o operation) {
	item := a.huma.OpenAPI().Paths[o.path]
	op := map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodDelete: item.Delete,
	}[o.method]
	first := op.Responses[strconv.Itoa(op.DefaultStatus)]
	for _, status := range o.also {
		op.Responses[strconv.Itoa(status)].Content = first.Content
		op.Responses[strconv.Itoa(status)].Headers = first.Headers
	}
}

// problemResponse describes every answer that is no success.
func (a *API) problemResponse() *huma.Response {
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "")
	return &huma.Response{
		Description: "A problem.",
		Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: schema}},
	}
}

// tag is the first word of a path.
func tag(path string) string {
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			return path[1:i]
		}
	}
	return path[1:]
}
