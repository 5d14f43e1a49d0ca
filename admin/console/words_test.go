package console

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// action is an action that the audit records, or the beginning of one.
var action = regexp.MustCompile(`Action: "([a-z]+\.[a-z]*)"`)

// Each action that the audit records has words in both languages.
func TestEveryActionOfTheAuditHasWords(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../sql/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, found := range action.FindAllSubmatch(source, -1) {
			for _, language := range []string{"web/src/text/en.ts", "web/src/text/zh.ts"} {
				words, err := os.ReadFile(language)
				if err != nil {
					t.Fatal(err)
				}
				if name := string(found[1]); !strings.Contains(string(words), `"`+name) {
					t.Errorf("%s has no words for %s of %s", language, name, file)
				}
			}
		}
	}
}

// code is a code of a problem, as packages api and operate name it.
var code = regexp.MustCompile(`(?m)^\t(?:code|Code)\w+ +(?:Code )?= "([a-z_]+)"`)

// Each code of a problem has words in both languages: what a page says of an error must not be the relay's English on a
// Chinese page.
func TestEveryProblemHasWords(t *testing.T) {
	t.Parallel()
	codes := 0
	for _, file := range []string{"../api/problem.go", "../../operate/error.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range code.FindAllSubmatch(source, -1) {
			codes++
			for _, language := range []string{"web/src/text/en.ts", "web/src/text/zh.ts"} {
				words, err := os.ReadFile(language)
				if err != nil {
					t.Fatal(err)
				}
				if name := string(found[1]); !strings.Contains(string(words), " "+name+": { what: ") {
					t.Errorf("%s has no words for the problem %s of %s", language, name, file)
				}
			}
		}
	}
	if codes < 30 {
		t.Errorf("%d codes were found", codes)
	}
}
