package notify

import (
	"strings"

	"relay"
)

// patterns matches topics against many patterns at once, as the topic exchanges of AMQP
// 0-9-1 do: words are separated by dots, * stands for exactly one word, # for any number
// of them, none included. It is a tree of words, so that a look-up follows the topic and
// does not depend on how many patterns there are. The zero value matches nothing.
type patterns[T comparable] struct{ root node[T] }

type node[T comparable] struct {
	words map[string]*node[T]
	star  *node[T]
	hash  *node[T]
	ends  []T // of the patterns that end here
}

// add makes a topic that matches the pattern find value.
func (p *patterns[T]) add(pattern string, value T) {
	n := &p.root
	for word := range strings.SplitSeq(pattern, ".") {
		switch word {
		case "*":
			n = child(&n.star)
		case "#":
			n = child(&n.hash)
		default:
			n = n.word(word)
		}
	}
	n.ends = append(n.ends, value)
}

func child[T comparable](at **node[T]) *node[T] {
	if *at == nil {
		*at = &node[T]{}
	}
	return *at
}

// word returns the child for a literal word, making it if need be.
func (n *node[T]) word(word string) *node[T] {
	if n.words == nil {
		n.words = make(map[string]*node[T])
	}
	if n.words[word] == nil {
		n.words[word] = &node[T]{}
	}
	return n.words[word]
}

// match returns the values of all patterns that match the topic, each once, in no order.
// relay.TopicDead is matched only by patterns that begin with its very first word, since a
// subscription to everything means everything that applications send.
func (p *patterns[T]) match(topic string) []T {
	m := matcher[T]{words: strings.Split(topic, ".")}
	if topic != relay.TopicDead {
		m.walk(&p.root, 0)
	} else if first := p.root.words[m.words[0]]; first != nil {
		m.walk(first, 1)
	}
	return m.found
}

// matcher is one look-up.
type matcher[T comparable] struct {
	words []string
	found []T
	seen  map[T]bool
	been  map[place[T]]bool // behind a #, where several ways lead to the same place
}

type place[T comparable] struct {
	node *node[T]
	at   int
}

func (m *matcher[T]) walk(n *node[T], at int) {
	if n.hash != nil {
		for skip := at; skip <= len(m.words); skip++ {
			if m.first(n.hash, skip) {
				m.walk(n.hash, skip)
			}
		}
	}
	if at == len(m.words) {
		m.take(n.ends)
		return
	}
	if next := n.words[m.words[at]]; next != nil {
		m.walk(next, at+1)
	}
	if n.star != nil {
		m.walk(n.star, at+1)
	}
}

// first reports whether a place behind a # was not visited yet: patterns such as #.#.#
// would otherwise cost a walk for each way of dividing the topic.
func (m *matcher[T]) first(n *node[T], at int) bool {
	here := place[T]{n, at}
	if m.been[here] {
		return false
	}
	if m.been == nil {
		m.been = make(map[place[T]]bool)
	}
	m.been[here] = true
	return true
}

func (m *matcher[T]) take(values []T) {
	for _, v := range values {
		if m.seen[v] {
			continue
		}
		if m.seen == nil {
			m.seen = make(map[T]bool)
		}
		m.seen[v] = true
		m.found = append(m.found, v)
	}
}

// WordPattern is one pattern, as elements of RELAY_ROW_DESTINATIONS hold it: words are separated
// by dots, * stands for one word, # for any number. What patterns says of relay.TopicDead does not
// hold for it.
type WordPattern struct{ tree patterns[bool] }

// NewWordPattern returns the pattern, or an error that says why it is malformed.
func NewWordPattern(text string) (*WordPattern, error) {
	if err := relay.CheckPattern(text); err != nil {
		return nil, err
	}
	p := &WordPattern{}
	p.tree.add(text, true)
	return p, nil
}

// Matches reports whether the pattern stands for the text.
func (p *WordPattern) Matches(text string) bool {
	m := matcher[bool]{words: strings.Split(text, ".")}
	m.walk(&p.tree.root, 0)
	return len(m.found) > 0
}
