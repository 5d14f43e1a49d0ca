package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// screen prints lines, and below them, on a terminal, a table that it redraws in place.
// Its methods are safe for concurrent use.
type screen struct {
	out io.Writer
	tty *os.File // nil: not a terminal

	mu    sync.Mutex
	table []string // as it was drawn last; empty: not there
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
	if f, ok := out.(*os.File); ok && columns(f) > 0 {
		s.tty = f
	}
	return s
}

// columns returns the width of a terminal; 0 if the file is none.
func columns(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	if size.Col == 0 { // a terminal that does not know
		return 80
	}
	return int(size.Col)
}

// terminal reports whether tables can be drawn in place.
func (s *screen) terminal() bool { return s.tty != nil }

// print prints lines above the table.
func (s *screen) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(s.erase()+strings.TrimRight(text, "\n")+"\n", s.table)
}

// Write prints lines of a log above the table. It implements io.Writer.
func (s *screen) Write(p []byte) (int, error) {
	s.print(string(p))
	return len(p), nil
}

// draw puts a table in the place of the last one.
func (s *screen) draw(table []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(s.erase(), table)
}

// finish prints the last table, which stays.
func (s *screen) finish(table []string) {
	s.draw(table)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table = nil
}

// erase returns what moves the cursor to the table's first line and clears all below.
func (s *screen) erase() string {
	if s.tty == nil || len(s.table) == 0 {
		return ""
	}
	return fmt.Sprintf("\r\x1b[%dA\x1b[J", len(s.table))
}

// put writes text and the table below it at once, so that nothing flickers. Lines are cut
// to the terminal: one that wrapped would count as two.
func (s *screen) put(text string, table []string) {
	var b strings.Builder
	b.WriteString(text)
	width := 0
	if s.tty != nil {
		width = columns(s.tty)
	}
	for _, line := range table {
		if r := []rune(line); width > 0 && len(r) >= width {
			line = string(r[:width-1])
		}
		b.WriteString(line + "\n")
	}
	s.table = table
	// A display that cannot be written to is no reason to end: the verdict counts.
	_, _ = io.WriteString(s.out, b.String())
}
