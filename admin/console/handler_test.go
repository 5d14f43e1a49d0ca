package console

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

// get asks a new handler for a path.
func get(t *testing.T, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	handler, err := NewHandler()
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func TestConsoleServesOnePageForEveryPath(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/messages", "/messages/0190", "/senders/shop.eu", "/m/1", "/nothing/here"} {
		got := get(t, path)
		if got.Code != http.StatusOK || !strings.HasPrefix(got.Header().Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %s", path, got.Code, got.Header().Get("Content-Type"))
		}
		if !strings.Contains(got.Body.String(), `<script src="/assets/app.js"`) {
			t.Errorf("%s loads no application", path)
		}
	}
	if got := get(t, "/assets/none.js"); got.Code != http.StatusNotFound {
		t.Errorf("an asset that is not there: %d", got.Code)
	}
}

func TestConsoleSetsItsHeadersOnEveryAnswer(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/assets/app.js", "/assets/app.css", "/assets/theme.js", "/assets/icons.svg", "/assets/none"} {
		header := get(t, path).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy":      "trusted-types 'none'",
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Cache-Control":                "no-cache",
		} {
			if !strings.Contains(header.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, header.Get(name))
			}
		}
	}
}

func TestConsoleCompressesAndTagsItsFiles(t *testing.T) {
	t.Parallel()
	plain := get(t, "/assets/app.js")
	zipped := get(t, "/assets/app.js", "Accept-Encoding", "br, gzip;q=0.8")
	reader, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(reader)
	if err != nil || !bytes.Equal(content, plain.Body.Bytes()) {
		t.Errorf("the compressed file is another one: %v", err)
	}
	if get(t, "/assets/app.js", "Accept-Encoding", "gzip;q=0").Header().Get("Content-Encoding") != "" {
		t.Error("a client that refuses gzip gets it")
	}
	again := get(t, "/assets/app.js", "If-None-Match", plain.Header().Get("ETag"))
	if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("the client has the file, and gets %d with %d bytes", again.Code, again.Body.Len())
	}
	if plain.Header().Get("ETag") == zipped.Header().Get("ETag") {
		t.Error("the two forms of a file have one tag")
	}
}

// maxBundle is how many bytes the pages may have on the wire, script and style together.
const maxBundle = 150 << 10

func TestConsoleIsSmall(t *testing.T) {
	t.Parallel()
	total := 0
	for _, name := range []string{"app.js", "app.css", "theme.js", "icons.svg"} {
		total += get(t, "/assets/"+name, "Accept-Encoding", "gzip").Body.Len()
	}
	t.Logf("%d bytes compressed", total)
	if total > maxBundle {
		t.Errorf("%d bytes compressed, %d are allowed", total, maxBundle)
	}
}

func TestConsoleNamesNoOtherHost(t *testing.T) {
	t.Parallel()
	page := get(t, "/").Body.String()
	for _, text := range []string{"http://", "https://", "<style", "style=", "onload", "<script>"} {
		if strings.Contains(page, text) {
			t.Errorf("the page has %q", text)
		}
	}
}

func TestConsoleWithoutABundleIsAnError(t *testing.T) {
	t.Parallel()
	_, err := load(fstest.MapFS{"dist/app.js": &fstest.MapFile{}})
	if err == nil || !strings.Contains(err.Error(), "make console") {
		t.Errorf("%v does not say what to do", err)
	}
}
