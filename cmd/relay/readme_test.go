package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table of variables in docs/configuration.md")

// TestREADMEVariables compares the table of variables in docs/configuration.md with Config. With
// -update it writes the table.
func TestREADMEVariables(t *testing.T) {
	const path, begin, end = "../../docs/configuration.md", "<!-- variables -->\n", "<!-- /variables -->"
	readme, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := bytes.Cut(readme, []byte(begin))
	table, after, closed := bytes.Cut(rest, []byte(end))
	if !found || !closed {
		t.Fatalf("%s has no table between %s and %s", path, strings.TrimSpace(begin), end)
	}
	want := variableTable()
	if string(table) == want {
		return
	}
	if !*update {
		t.Fatalf("the table of variables in %s is not that of Config; run: go test ./cmd/relay -run TestREADMEVariables -update", path)
	}
	written := bytes.Join([][]byte{before, []byte(begin), []byte(want), []byte(end), after}, nil)
	if err := os.WriteFile(path, written, 0o644); err != nil {
		t.Fatal(err)
	}
}

func variableTable() string {
	cell := strings.NewReplacer("|", "\\|", "<", "&lt;", ">", "&gt;")
	var b strings.Builder
	b.WriteString("| variable | default | allowed | meaning |\n|---|---|---|---|\n")
	for _, v := range variables() {
		def := v.Unset
		if v.Default != "" {
			def = "`" + v.Default + "`"
		}
		if v.Required {
			def = "required"
		}
		name := "`" + v.Name + "`"
		if v.Secret {
			name += ", `" + v.Name + fileSuffix + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, def, cell.Replace(v.Allowed), cell.Replace(v.Meaning))
	}
	return b.String()
}

// TestVariablesAreDescribed checks that a person can read of each variable what it does,
// what it may be, and what holds without it.
func TestVariablesAreDescribed(t *testing.T) {
	t.Parallel()
	for _, v := range variables() {
		if v.Allowed == "" || v.Meaning == "" {
			t.Errorf("%s: no description", v.Name)
		}
		if stated := v.Required || (v.Default != "") != (v.Unset != ""); !stated {
			t.Errorf("%s: default %q and words %q, exactly one is needed", v.Name, v.Default, v.Unset)
		}
	}
}
