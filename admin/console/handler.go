package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// policy is what the browser lets the pages do: load files and data from where they came from, and nothing else. No
// text can become markup or code, since no policy for trusted types may be made.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// asset is one file as it is sent.
type asset struct {
	plain, zipped []byte
	kind          string // its Content-Type
	tag           string // its ETag
}

// NewHandler returns the handler of the pages: the files of dist under /assets/, and the one page for every other
// path, since the application reads the path itself. It is to be mounted at "/", below more exact patterns.
func NewHandler() (http.Handler, error) {
	assets, err := load(dist)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{name}", func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		found, ok := assets[r.PathValue("name")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		found.serve(w, r)
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		assets["index.html"].serve(w, r)
	})
	return mux, nil
}

// load reads every file of dist and compresses it, once.
func load(files fs.FS) (map[string]asset, error) {
	assets := make(map[string]asset)
	err := fs.WalkDir(files, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		made, err := newAsset(name, content)
		assets[path.Base(name)] = made
		return err
	})
	if _, ok := assets["index.html"]; err == nil && !ok {
		err = fmt.Errorf("dist has no index.html: run make console")
	}
	return assets, err
}

func newAsset(name string, content []byte) (asset, error) {
	var zipped bytes.Buffer
	writer, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		return asset{}, err
	}
	if _, err := writer.Write(content); err != nil {
		return asset{}, err
	}
	if err := writer.Close(); err != nil {
		return asset{}, err
	}
	sum := sha256.Sum256(content)
	return asset{
		plain: content, zipped: zipped.Bytes(), kind: mime.TypeByExtension(path.Ext(name)),
		tag: base64.RawURLEncoding.EncodeToString(sum[:12]),
	}, nil
}

// secure sets the headers that every answer of the console has.
func secure(header http.Header) {
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-cache")
}

// serve sends the file, compressed if the client reads that, or 304 if the client has it. The two forms are two
// representations, so each has a tag of its own.
func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	body, tag := a.plain, `"`+a.tag+`"`
	header.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		body, tag = a.zipped, `"`+a.tag+`-gzip"`
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("ETag", tag)
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		header.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", a.kind)
	header.Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body) // the client is gone if this fails
}

// acceptsGzip reports whether an Accept-Encoding names gzip and does not refuse it.
func acceptsGzip(accepted string) bool {
	for part := range strings.SplitSeq(accepted, ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(coding) == "gzip" {
			weight = strings.TrimSpace(weight)
			return weight != "q=0" && weight != "q=0.0"
		}
	}
	return false
}
