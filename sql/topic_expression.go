package sql

import (
	"regexp"
	"slices"
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

// TopicMatcher returns what tells whether one of a subscription's patterns matches a topic. A pattern that is none
// matches nothing.
func TopicMatcher(patterns []string) func(topic string) bool {
	var all []*regexp.Regexp
	dead := false // whether the relay's own topic of deaths is asked for by name
	for _, pattern := range patterns {
		if expression, err := regexp.Compile(topicExpression(pattern)); err == nil {
			all = append(all, expression)
		}
		first, _, _ := strings.Cut(pattern, ".")
		dead = dead || strings.HasPrefix(relay.TopicDead, first+".")
	}
	return func(topic string) bool {
		return (topic != relay.TopicDead || dead) &&
			slices.ContainsFunc(all, func(expression *regexp.Regexp) bool { return expression.MatchString(topic) })
	}
}
