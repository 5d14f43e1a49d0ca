package sql

import (
	"regexp"
	"strings"

	"relay"
)

// subscribed is the expression of a subscription's pattern: relay.TopicDead is matched only by
// one whose first word is literally its own.
func subscribed(pattern string) string {
	first, _, _ := strings.Cut(pattern, ".")
	if strings.HasPrefix(relay.TopicDead, first+".") {
		return topicExpression(pattern)
	}
	return "^(?!" + regexp.QuoteMeta(relay.TopicDead) + "$)" + strings.TrimPrefix(topicExpression(pattern), "^")
}

// topicExpression turns a topic pattern of AMQP into a regular expression of PostgreSQL.
func topicExpression(pattern string) string {
	var b strings.Builder
	b.WriteString("^")
	dot, last := "", ""
	for word := range strings.SplitSeq(pattern, ".") {
		switch {
		case word == "#" && last == "#":
			continue
		case word == "#" && dot == "":
			b.WriteString(`([^.]*(\.|$))*`)
		case word == "#":
			b.WriteString(`(\.[^.]*)*`)
		case word == "*":
			b.WriteString(dot + `[^.]*`)
		default:
			b.WriteString(dot + regexp.QuoteMeta(word))
		}
		if last = word; word != "#" || dot != "" {
			dot = `\.`
		}
	}
	b.WriteString("$")
	return b.String()
}
