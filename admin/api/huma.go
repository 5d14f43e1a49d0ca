package api

import (
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// setHuma sets huma's package variables, here alone and once, before any operation is registered: errors are Problems,
// and arrays are never null. No other package of the relay uses huma.
var setHuma = sync.OnceFunc(func() {
	huma.NewError = fromHuma
	huma.DefaultArrayNullable = false
})

// Prefix is where the API begins.
const Prefix = "/api/v1"

// contractVersion is that of the contract. Its first number stands in Prefix.
const contractVersion = "1.0.0"

// newHuma returns huma's API on a mux. Its pages with scripts and its $schema links are switched off, and unknown
// query parameters are refused: a filter that is misspelt must not match everything.
func newHuma(mux *http.ServeMux) huma.API {
	setHuma()
	config := huma.DefaultConfig("Relay", contractVersion)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.RejectUnknownQueryParameters = true
	config.Info.Description = "What people and programs can ask of a relay and have it do. Lists are pages, errors are " +
		"RFC 9457, and docs/api.md explains both with examples."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "RELAY_ADMIN_TOKEN or RELAY_VIEWER_TOKEN."},
		"session": {Type: "apiKey", In: "cookie", Name: "relay_session", Description: "The cookie that POST /signin sets."},
	}
	return humago.NewWithPrefix(mux, Prefix, config)
}
