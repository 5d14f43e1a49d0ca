package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// finding is one line of a report: a figure beside its target, if it has one.
type finding struct {
	what, target, figure string
	verdict              string
}

// report is what one section found.
type report struct {
	findings []finding
	notes    []string
}

// tell adds a figure without a target.
func (r *report) tell(what, format string, args ...any) {
	r.findings = append(r.findings, finding{what: what, figure: fmt.Sprintf(format, args...)})
}

// judge adds a figure beside its target.
func (r *report) judge(what, target string, met bool, format string, args ...any) {
	verdict := "met"
	if !met {
		verdict = "**missed**"
	}
	r.findings = append(r.findings, finding{what: what, target: target, figure: fmt.Sprintf(format, args...), verdict: verdict})
}

// note adds a sentence below the table.
func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// pageWidth is the most characters of a line of the page that is no table.
const pageWidth = 118

// wrapped breaks an item of a list into lines.
func wrapped(item string) string {
	var b strings.Builder
	width := 0
	for i, word := range strings.Fields(item) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case width+1+n > pageWidth:
			b.WriteString("\n  ")
			width = 2
		default:
			b.WriteString(" ")
			width++
		}
		b.WriteString(word)
		width += n
	}
	b.WriteString("\n")
	return b.String()
}

// markdown returns the report as the page shows it.
func (r *report) markdown(title, machine string, began time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s, load %s. %s.\n\n", title, began.UTC().Format("2006-01-02 15:04 UTC"), loadAverage(), machine)
	b.WriteString("| measured | target | figure | |\n|---|---|---|---|\n")
	for _, f := range r.findings {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.what, f.target, f.figure, f.verdict)
	}
	b.WriteString("\n")
	for _, n := range r.notes {
		b.WriteString(wrapped("- " + n))
	}
	if len(r.notes) > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

// loadAverage is that of the last minute, which tells whether others used the machine.
func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// updatePage replaces the part of the page that belongs to a section. Its marks are
// comments, and what stands outside of them is written by people.
func updatePage(path, section, text string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begin, end := "<!-- begin "+section+" -->\n", "<!-- end "+section+" -->\n"
	before, rest, found := strings.Cut(string(b), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s has no marks for the section %s", path, section)
	}
	return os.WriteFile(path, []byte(before+begin+text+end+after), 0o644)
}

// median returns the middle of some values, and zero of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
