package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"golang.org/x/time/rate"

	"relay/admin/access"
	"relay/operate"
)

// Config is what an API works with.
type Config struct {
	// Service returns what does the work, or nil while the relay has no database yet.
	Service func() *operate.Service
	Guard   *access.Guard
	// Process tells of the process that serves the API. Nil means that nothing is known of it.
	Process process
	// Settings are shown as they are. They hold the database's name, the source and whether payloads are hidden.
	Settings Settings
	Version  string // of the relay
	Log      *slog.Logger
}

// process is the relay that serves the API.
type process interface {
	// Live returns how the process stands now. It asks nothing outside of the process.
	Live() operate.Live
}

// API is /api/v1. It serves requests, safe for concurrent use.
type API struct {
	Config
	huma        huma.API
	mux         *http.ServeMux
	crossOrigin *http.CrossOriginProtection
	maxBody     int64 // of any request
	document    []byte
	notes       *rate.Limiter // of what is written into the audit
}

// overhead is what a request to insert a message may hold besides its payload: the headers of the message, and what
// JSON adds.
const overhead = 256 << 10

// MaxBody returns how large a request's body may be if a message may have the given number of bytes. As JSON a text
// at most doubles, unless it is full of control characters; then it can be sent as base64.
func MaxBody(payload int64) int64 { return 2*payload + overhead }

// New returns the API.
func New(c Config) (*API, error) {
	a := &API{Config: c, mux: http.NewServeMux(), crossOrigin: http.NewCrossOriginProtection(), maxBody: MaxBody(c.Settings.MaxPayload), notes: newNotes()}
	a.huma = newHuma(a.mux)
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
	a.mux.HandleFunc(Prefix+"/", a.serveNothing)
	var err error
	a.document, err = json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
	return a, err
}

// Document returns the OpenAPI document, indented.
func (a *API) Document() []byte { return a.document }

type documentOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (a *API) getDocument(context.Context, *sessionInput) (*documentOutput, error) {
	return &documentOutput{ContentType: "application/json", Body: a.document}, nil
}
