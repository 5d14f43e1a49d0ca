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

	mu      sync.Mutex
	table   []string // as it was drawn last; empty: not there
	holding bool     // lines are kept in held, until open or release
	held    []string
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
	if f, ok := out.(*os.File); ok {
		if width, _ := size(f); width > 0 {
			s.tty = f
		}
	}
	return s
}

// size returns the columns and rows of a terminal; 0 if the file is none.
func size(f *os.File) (columns, rows int) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	if size.Col == 0 || size.Row == 0 { // a terminal that does not know
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}

// terminal reports whether tables can be drawn in place.
func (s *screen) terminal() bool { return s.tty != nil }

// print prints lines above the table.
func (s *screen) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text = strings.TrimRight(text, "\n") + "\n"
	if s.holding {
		s.held = append(s.held, text)
		return
	}
	s.put(s.erase()+text, s.table)
}

// hold keeps what is printed from now on back, until open or release. Only a terminal shows what is waited for, and
// what comes next takes its place.
func (s *screen) hold(waiting string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = true
	if s.tty != nil {
		s.put(s.erase(), []string{waiting})
	}
}

// open prints lines, the first of all, and then what was held back.
func (s *screen) open(text string) {
	s.release(strings.TrimRight(text, "\n") + "\n")
}

// release prints what was held back, after some text.
func (s *screen) release(before string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.holding && before == "" {
		return
	}
	s.put(s.erase()+before+strings.Join(s.held, ""), nil)
	s.holding, s.held = false, nil
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

// finish prints the last table, whole and for good.
func (s *screen) finish(table []string) {
	s.draw(nil)
	s.print(strings.Join(table, "\n"))
}

// erase returns what moves the cursor to the table's first line and clears all below.
func (s *screen) erase() string {
	if s.tty == nil || len(s.table) == 0 {
		return ""
	}
	return fmt.Sprintf("\r\x1b[%dA\x1b[J", len(s.table))
}

// put writes text and the table below it at once, so that nothing flickers. The table is
// cut to the terminal: a line that wrapped would count as two, and the cursor does not move
// up to lines that have left the top.
func (s *screen) put(text string, table []string) {
	var b strings.Builder
	b.WriteString(text)
	width := 0
	if s.tty != nil {
		var rows int
		width, rows = size(s.tty)
		table = table[:min(len(table), max(rows-1, 0))]
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
