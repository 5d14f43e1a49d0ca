package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// API is /api/v1.
type API struct {
	huma huma.API
	mux  *http.ServeMux
}

// New returns the API of a relay of some version.
func New(version string) *API {
	a := &API{mux: http.NewServeMux()}
	a.huma = newHuma(a.mux, version)
	a.registerMessages()
	a.registerMessage()
	a.registerDeliveries()
	a.registerSubscriptions()
	a.registerKeys()
	a.registerFailures()
	a.registerSenders()
	a.registerJobs()
	a.registerOverview()
	a.registerSession()
	return a
}

// Document returns the OpenAPI document, indented.
func (a *API) Document() ([]byte, error) {
	return json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
}

type documentOutput struct {
	Body json.RawMessage
}

func (a *API) getDocument(context.Context, *sessionInput) (*documentOutput, error) {
	document, err := a.Document()
	return &documentOutput{Body: document}, err
}
