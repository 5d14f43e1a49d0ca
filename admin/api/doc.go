// Package api is /api/v1: what people and programs can ask of a relay and have it do, over HTTP. Operations are
// registered with huma, which reads and judges requests by their Go types and writes the OpenAPI document from the
// same types. What they do is done by package operate; this package keeps to HTTP.
//
// One table in roles.go says which role each operation takes. Errors are documents of RFC 9457 with a stable code.
package api
