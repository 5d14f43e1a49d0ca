package examples

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// widest is the most characters of a line in a page. Rows of tables cannot be broken and are exempt.
const widest = 120

// vague matches words that hide who acts, or how many are meant.
var vague = regexp.MustCompile(`(?i)\b(somebody|someone|nobody|whoever|anybody|anyone|everybody|so many|of which)\b`)

// TestPagesAreInPlainEnglish checks what a program can check of it: the width of lines, and words that name no actor.
// The rules for authors may quote these words.
func TestPagesAreInPlainEnglish(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		number := 0
		for line := range strings.Lines(readFile(t, page)) {
			number++
			line = strings.TrimSuffix(line, "\n")
			if width := utf8.RuneCountInString(line); width > widest && !strings.HasPrefix(line, "|") {
				t.Errorf("%s:%d has %d characters; break the line at %d", page, number, width, widest)
			}
			if word := vague.FindString(line); word != "" && filepath.Base(page) != "CONTRIBUTING.md" {
				t.Errorf("%s:%d says %q: name the actor, or the number", page, number, word)
			}
		}
	}
}

// TestREADMEIsShort: a reader who has never heard of the relay reads all of it.
func TestREADMEIsShort(t *testing.T) {
	t.Parallel()
	const most = 250
	if n := strings.Count(readFile(t, "../README.md"), "\n"); n > most {
		t.Errorf("README.md has %d lines, want at most %d: move what only users need into the manual", n, most)
	}
}

// TestCommentsAreInPlainEnglish checks the same of the comments in the code.
func TestCommentsAreInPlainEnglish(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".go" {
			checkComments(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkComments(t *testing.T, path string) {
	t.Helper()
	number := 0
	for line := range strings.Lines(readFile(t, path)) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(strings.TrimSpace(line), "//") {
			continue
		}
		if width := utf8.RuneCountInString(line); width > widest {
			t.Errorf("%s:%d has %d characters; break the line at %d", path, number, width, widest)
		}
		if word := vague.FindString(line); word != "" {
			t.Errorf("%s:%d says %q: name the actor, or the number", path, number, word)
		}
	}
}

// TestIndexesNameEveryPage checks that each page of the manual, and each decision, stands in its index exactly once.
func TestIndexesNameEveryPage(t *testing.T) {
	t.Parallel()
	for index, most := range map[string]int{"../docs/README.md": 2, "../docs/decisions/README.md": 1} {
		text := readFile(t, index)
		found, err := filepath.Glob(filepath.Join(filepath.Dir(index), "*.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range found {
			n := strings.Count(text, "]("+filepath.Base(page)+")")
			if filepath.Base(page) != "README.md" && (n == 0 || n > most) {
				t.Errorf("%s links to %s %d times", index, filepath.Base(page), n)
			}
		}
	}
}

// TestDiagramsAreComplete checks that each diagram of a page is closed, begins with a kind that renderers know, and
// pairs its brackets.
func TestDiagramsAreComplete(t *testing.T) {
	t.Parallel()
	kind := regexp.MustCompile(`^(flowchart (LR|TB)|sequenceDiagram|stateDiagram-v2)$`)
	shown := 0
	for _, page := range pages(t) {
		for i, part := range strings.Split(readFile(t, page), "```mermaid\n") {
			if i == 0 {
				continue
			}
			shown++
			diagram, _, closed := strings.Cut(part, "\n```\n")
			first, _, _ := strings.Cut(diagram, "\n")
			if !closed || !kind.MatchString(first) {
				t.Errorf("%s: a diagram begins with %q, closed %v", page, first, closed)
			}
			for _, pair := range []string{"[]", "()", "{}"} {
				if strings.Count(diagram, pair[:1]) != strings.Count(diagram, pair[1:]) {
					t.Errorf("%s: the diagram that begins with %q does not pair %s", page, first, pair)
				}
			}
		}
	}
	if shown == 0 {
		t.Error("no page has a diagram")
	}
}
