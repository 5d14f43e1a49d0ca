package api

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"strings"
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

// TestDocumentIsValidOpenAPI has a public validator look at the document.
func TestDocumentIsValidOpenAPI(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("node", "../../scripts/openapi/validate.mjs", "openapi.json").CombinedOutput()
	if err != nil {
		t.Fatalf("%v (scripts/install-test installs the validator)\n%s", err, out)
	}
	if got := strings.TrimSpace(string(out)); got != "valid 3.1.0" {
		t.Errorf("the validator says %q", got)
	}
}
