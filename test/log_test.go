package test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestALongLogIsShownByItsEnd(t *testing.T) {
	t.Parallel()
	var log logBuffer
	for n := range 1000 {
		fmt.Fprintf(&log, "line %d\n", n)
	}
	shown := log.excerpt()
	path := regexp.MustCompile(`all in (\S+);`).FindStringSubmatch(shown)
	if path == nil {
		t.Fatalf("it names no file:\n%s", shown)
	}
	defer os.Remove(path[1])
	if whole, err := os.ReadFile(path[1]); err != nil || string(whole) != log.String() {
		t.Errorf("the file holds %d bytes, want all %d: %v", len(whole), len(log.String()), err)
	}
	if n := strings.Count(shown, "\n"); n > shownLines+1 || !strings.HasSuffix(shown, "line 999\n") {
		t.Errorf("%d lines are shown:\n%s", n, shown)
	}
}
