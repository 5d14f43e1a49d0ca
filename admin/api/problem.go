package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Problem is an error as RFC 9457 describes it. It never holds a value of the request.
type Problem struct {
	Type       string            `json:"type" doc:"urn:relay:problem: and the code."`
	Title      string            `json:"title" doc:"The status in words."`
	Status     int               `json:"status" doc:"Of HTTP."`
	Detail     string            `json:"detail" doc:"What happened, in English."`
	Code       string            `json:"code" doc:"Stable name of the kind of problem; docs/api.md lists them."`
	Hint       string            `json:"hint,omitempty" doc:"What to do, in English."`
	Parameters map[string]string `json:"parameters" doc:"What the code's translation needs, as retry_after or field."`
	Errors     []Mistake         `json:"errors,omitempty" doc:"Which parts of the request are wrong."`
	header     http.Header       // of the answer; nil: none of its own
}

// Mistake is one part of a request that is wrong.
type Mistake struct {
	Location string `json:"location,omitempty" doc:"As query.since or body.ids[3]."`
	Message  string `json:"message"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// The codes of problems that have no code of package operate.
const (
	codeMalformed      = "malformed" // the request cannot be read
	codeInvalid        = "invalid"   // a value is not allowed
	codeUnknownParam   = "unknown_parameter"
	codeNotFound       = "not_found"       // no such path
	codeMethod         = "method"          // no such method at this path
	codeTooLarge       = "too_large"       // the body
	codeMediaType      = "media_type"      // of the body
	codeNotAcceptable  = "not_acceptable"  // the media type that is asked for
	codeUnauthorized   = "unauthorized"    // no token, no session, or one that has ended
	codeForbidden      = "forbidden"       // the role may not
	codeCrossOrigin    = "cross_origin"    // another site sent a change
	codeHost           = "host"            // the Host header is none of this machine's
	codeSlowDown       = "slow_down"       // too many attempts to sign in
	codeVersionNeeded  = "version_needed"  // If-Match is missing
	codeVersionChanged = "version_changed" // If-Match does not match
	codeHidden         = "hidden"          // RELAY_HIDE_PAYLOADS hides it from viewers
	codeKeyReused      = "key_reused"      // the Idempotency-Key was used for something else
	codeTimeout        = "timeout"         // the request took longer than it may
	codeInternal       = "internal"
)

// problem makes a problem of a code.
func problem(status int, code, detail, hint string) *Problem {
	return &Problem{
		Type: "urn:relay:problem:" + code, Title: http.StatusText(status), Status: status,
		Detail: detail, Code: code, Hint: hint, Parameters: map[string]string{},
	}
}

// with adds a parameter.
func (p *Problem) with(name, value string) *Problem {
	p.Parameters[name] = value
	return p
}

// fromHuma makes a problem of what huma found wrong with a request. Values are dropped: one may be a secret.
func fromHuma(status int, detail string, errs ...error) huma.StatusError {
	p := problem(status, codeOfStatus(status), detail, hintOfStatus(status))
	for _, err := range errs {
		d, ok := err.(huma.ErrorDetailer)
		if !ok {
			continue
		}
		e := d.ErrorDetail()
		p.Errors = append(p.Errors, Mistake{Location: e.Location, Message: e.Message})
		if e.Message == "unknown query parameter" {
			p.Code, p.Type = codeUnknownParam, "urn:relay:problem:"+codeUnknownParam
		}
	}
	return p
}

func codeOfStatus(status int) string {
	switch status {
	case http.StatusBadRequest:
		return codeMalformed
	case http.StatusUnprocessableEntity:
		return codeInvalid
	case http.StatusRequestEntityTooLarge:
		return codeTooLarge
	case http.StatusUnsupportedMediaType:
		return codeMediaType
	case http.StatusNotAcceptable:
		return codeNotAcceptable
	case http.StatusRequestTimeout:
		return codeTimeout
	}
	return codeInternal
}

func hintOfStatus(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "Send a JSON object, as /api/v1/openapi.json describes it."
	case http.StatusUnprocessableEntity:
		return "errors says which parts are wrong; /api/v1/openapi.json says what is allowed."
	case http.StatusRequestEntityTooLarge:
		return "Send less; RELAY_MAX_PAYLOAD bounds what a message may hold."
	case http.StatusUnsupportedMediaType, http.StatusNotAcceptable:
		return "Use application/json."
	}
	return "The relay's log says more."
}
