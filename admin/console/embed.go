// Package console serves the pages of the message centre. The pages are a single-page application, built from web/
// into dist/ by `make console`; dist/ is committed, so that `go build` needs no other tool. The pages know nothing
// that they have not asked the API for.
package console

import "embed"

// dist holds the files as the browser gets them.
//
//go:embed dist
var dist embed.FS
