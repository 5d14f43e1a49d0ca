package api

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write openapi.json")

// TestDocument holds openapi.json to what the types say. With -update it writes the file.
func TestDocument(t *testing.T) {
	t.Parallel()
	a, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	document := append(a.Document(), '\n')
	if *update {
		if err := os.WriteFile("openapi.json", document, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, document) {
		t.Error("openapi.json is not what the types say: go test ./admin/api -run TestDocument -update")
	}
}
