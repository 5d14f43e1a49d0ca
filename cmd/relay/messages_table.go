package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"relay"
	"relay/sql"
)

// tableWidth is what a table of messages fits into.
const tableWidth = 100

// listed is one message as a list prints it.
type listed struct {
	ID          string              `json:"id"`
	CreatedAt   time.Time           `json:"created_at"`
	Status      relay.MessageStatus `json:"status"`
	Topic       string              `json:"topic"`
	Key         string              `json:"key,omitempty"`
	Source      string              `json:"source,omitempty"`
	Destination string              `json:"destination,omitempty"` // as relay.ShownTarget has it
	DeliverAt   *time.Time          `json:"deliver_at,omitempty"`
	FinishedAt  *time.Time          `json:"finished_at,omitempty"`
	Error       string              `json:"error,omitempty"`
	Outstanding int                 `json:"outstanding"`
	Size        int64               `json:"size"` // bytes of payload or body
}

func newListed(m sql.MessageSummary) listed {
	return listed{
		ID: m.ID.String(), CreatedAt: m.CreatedAt.UTC(), Status: m.Status, Topic: m.Topic, Key: m.Key, Source: m.Source,
		Destination: relay.ShownTarget(m.Destination), DeliverAt: m.DeliverAt, FinishedAt: m.FinishedAt, Error: m.Error,
		Outstanding: m.Outstanding, Size: m.Size,
	}
}

// messageTable prints messages in columns. The error takes what the others leave; a column
// of keys is there only if there are keys.
func messageTable(messages []sql.MessageSummary, now time.Time) string {
	if len(messages) == 0 {
		return "no messages\n"
	}
	rows := [][]string{{"ID", "AGE", "STATUS", "TOPIC", "KEY", "ERROR"}}
	keys := false
	for _, m := range messages {
		keys = keys || m.Key != ""
		rows = append(rows, []string{m.ID.String(), shortAge(now.Sub(m.CreatedAt)), string(m.Status), m.Topic, m.Key, m.Error})
	}
	widest := []int{36, 6, 9, 20, 12, tableWidth}
	if !keys {
		for i, row := range rows {
			rows[i] = append(row[:4:4], row[5])
		}
		widest = []int{36, 6, 9, 28, tableWidth}
	}
	return columns(rows, widest, tableWidth)
}

// columns prints cells below each other, two spaces apart, each no wider than its column may
// be and all within a width.
func columns(rows [][]string, widest []int, width int) string {
	wide := make([]int, len(widest))
	for _, row := range rows {
		for i := range row {
			row[i] = visible(row[i])
			wide[i] = min(widest[i], max(wide[i], utf8.RuneCountInString(row[i])))
		}
	}
	for i := range wide {
		wide[i] = min(wide[i], width)
		width -= wide[i] + 2
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += fmt.Sprintf("%-*s  ", wide[i], cut(cell, wide[i]))
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// cut shortens a text to so many characters.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:max(most-1, 0)]) + "…"
}

// visible makes a text of any origin fit for a terminal: one line, and no control characters
// by which it could steer the terminal.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, text)
}

// shortAge prints a time span in its largest unit.
func shortAge(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(d, 0)/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
