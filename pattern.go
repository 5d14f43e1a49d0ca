package relay

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// patternSigns stand for words, here or in other systems: * for one, # for any number, > for the rest of a subject of
// NATS.
const patternSigns = "*#>"

// CheckPattern says why a topic pattern cannot mean what its author has in mind, and how to write that: words are
// separated by dots, * stands for one whole word and # for any number of them. The trigger subscription_checked
// (sql/migrations) judges alike.
func CheckPattern(pattern string) error {
	if pattern == "" {
		return errors.New("a pattern is empty")
	}
	if strings.ContainsFunc(pattern, unicode.IsSpace) {
		parts := strings.FieldsFunc(pattern, func(r rune) bool { return unicode.IsSpace(r) || r == ',' })
		return fmt.Errorf("%q holds white space, and topics are matched with it: write %s", pattern, strings.Join(parts, " and "))
	}
	one, many := spellPattern(pattern, "*"), spellPattern(pattern, "#")
	switch {
	case many == pattern:
		return nil
	case one == many:
		return fmt.Errorf("%q is none of the patterns here, in which * and # stand for whole words between dots: write %s", pattern, many)
	}
	return fmt.Errorf("%q matches nothing, because * and # stand for whole words between dots: write %s (one word) or %s (any number of words)", pattern, one, many)
}

// CheckTopicFilter is CheckPattern for a filter, which may be a topic itself and then holds whatever the
// application has written. Empty means that there is no filter.
func CheckTopicFilter(filter string) error {
	if !strings.ContainsAny(filter, patternSigns) {
		return nil
	}
	return CheckPattern(filter)
}

// spellPattern gives each sign inside of a word a place between dots, and writes it as the one given.
func spellPattern(pattern, sign string) string {
	words := strings.Split(pattern, ".")
	for i, word := range words {
		switch {
		case word == "*", word == "#", !strings.ContainsAny(word, patternSigns):
		case strings.Trim(word, patternSigns) == "":
			words[i] = "#"
		default:
			words[i] = spellWord(word, sign)
		}
	}
	return strings.Join(words, ".")
}

func spellWord(word, sign string) string {
	var b strings.Builder
	isSign := func(r rune) bool { return strings.ContainsRune(patternSigns, r) }
	for word != "" {
		if n := len(word) - len(strings.TrimLeftFunc(word, isSign)); n > 0 {
			word = word[n:]
			b.WriteString("." + sign)
			continue
		}
		end := strings.IndexFunc(word, isSign)
		if end < 0 {
			end = len(word)
		}
		b.WriteString("." + word[:end])
		word = word[end:]
	}
	return b.String()[1:]
}
