package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"relay"
	"relay/operate"
)

// messageTable prints messages in columns within a width. The last column takes what the others leave, and says why a
// message has failed, or when it is due; a column of keys is there only if there are keys.
func messageTable(messages []operate.Message, now time.Time, width int) string {
	if len(messages) == 0 {
		return "no messages\n"
	}
	rows := [][]string{{"ID", "AGE", "STATUS", "TOPIC", "KEY", "WHY"}}
	keys := false
	for _, m := range messages {
		keys = keys || m.Key != ""
		rows = append(rows, []string{m.ID, shortAge(now.Sub(m.CreatedAt)), string(m.Status), m.Topic, m.Key, messageWhy(m, now)})
	}
	rest := width - 57 // what id, age and status leave
	widest := []int{36, 6, 9, max(8, rest/4), max(6, rest/6), width}
	if !keys {
		for i, row := range rows {
			rows[i] = append(row[:4:4], row[5])
		}
		widest = []int{36, 6, 9, max(8, rest*2/5), width}
	}
	return columns(rows, widest, width)
}

// messageWhy says in short why a message stands as it does.
func messageWhy(m operate.Message, now time.Time) string {
	if m.Status == relay.MessagePending && m.DeliverAt != nil && m.DeliverAt.After(now) {
		return "due in " + shortAge(m.DeliverAt.Sub(now))
	}
	return causeFirst(m.LastError)
}

// requestError is an error of an HTTP attempt: the request, then what went wrong.
var requestError = regexp.MustCompile(`^POST (\S+): (.+)$`)

// causeFirst puts what went wrong before where it did, so that a narrow table shows the cause.
func causeFirst(text string) string {
	if parts := requestError.FindStringSubmatch(text); parts != nil {
		return parts[2] + " (POST " + parts[1] + ")"
	}
	return text
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
		wide[i] = min(wide[i], max(width, 0))
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

// cut shortens a text to the given number of characters.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	if most <= 0 {
		return ""
	}
	return string([]rune(text)[:most-1]) + "…"
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
