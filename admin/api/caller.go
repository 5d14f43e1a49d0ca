package api

import (
	"context"
	"net/http"

	"relay/admin/access"
)

// caller is the identity in whose name a request is made, and the request.
type caller struct {
	access.Identity
	request *http.Request
}

type callerKey struct{}

func withCaller(ctx context.Context, c *caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// callerOf returns the caller of a request that came through ServeHTTP.
func callerOf(ctx context.Context) *caller {
	return ctx.Value(callerKey{}).(*caller)
}
