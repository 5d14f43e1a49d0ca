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
