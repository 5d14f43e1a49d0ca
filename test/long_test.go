package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLongTestsExist: the file long, by which make test and make long divide the tests, names each once.
func TestLongTestsExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("long")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			names = append(names, line)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Error("the names are not in order, or one stands there twice")
	}
	there := make(map[string]bool)
	for _, folder := range []string{".", "../sql", "../examples"} {
		files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				if f, is := d.(*ast.FuncDecl); is && f.Recv == nil {
					there[f.Name.Name] = true
				}
			}
		}
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "Test") || !there[name] {
			t.Errorf("there is no test %q in ./test, ./sql or ./examples", name)
		}
	}
}
