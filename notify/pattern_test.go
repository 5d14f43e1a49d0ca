package notify

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPatternsMatchAsTopicExchangesDo(t *testing.T) {
	t.Parallel()
	for pattern, topics := range map[string]struct{ yes, no []string }{
		"order.created":   {[]string{"order.created"}, []string{"order", "order.created.eu", "Order.created", "order.creat"}},
		"order.*":         {[]string{"order.created", "order."}, []string{"order", "order.created.eu"}},
		"*.created":       {[]string{"order.created"}, []string{"created", "eu.order.created"}},
		"order.#":         {[]string{"order", "order.created", "order.created.eu"}, []string{"orders", "eu.order"}},
		"#":               {[]string{"a", "a.b", "a.b.c"}, nil},
		"#.created":       {[]string{"created", "order.created", "a.b.created"}, []string{"created.a"}},
		"a.#.z":           {[]string{"a.z", "a.b.z", "a.b.c.z"}, []string{"a", "z", "a.b"}},
		"*.#":             {[]string{"a", "a.b"}, nil},
		"#.*.#":           {[]string{"a", "a.b.c"}, nil},
		"order.*.*.#.end": {[]string{"order.a.b.end", "order.a.b.c.end"}, []string{"order.a.end"}},
	} {
		var p patterns[string]
		p.add(pattern, "x")
		for _, topic := range topics.yes {
			if len(p.match(topic)) != 1 {
				t.Errorf("%s does not match %s", pattern, topic)
			}
		}
		for _, topic := range topics.no {
			if len(p.match(topic)) != 0 {
				t.Errorf("%s matches %s", pattern, topic)
			}
		}
	}
}

func TestASubscriberThatMatchesTwiceIsFoundOnce(t *testing.T) {
	t.Parallel()
	var p patterns[int]
	for _, pattern := range []string{"a.b", "a.*", "#", "a.#", "#.b"} {
		p.add(pattern, 1)
	}
	p.add("a.b", 2)
	got := p.match("a.b")
	slices.Sort(got)
	if !slices.Equal(got, []int{1, 2}) {
		t.Errorf("found %v", got)
	}
}

// FuzzPatterns compares the tree with a regular expression.
func FuzzPatterns(f *testing.F) {
	f.Add("a.#.b.*", "a.x.y.b.c")
	f.Add("#.#.#.#.#", "a.a.a.a.a.a.a.a.a.a")
	f.Fuzz(func(t *testing.T, pattern, topic string) {
		if len(pattern) > 100 || len(topic) > 100 {
			return
		}
		var p patterns[int]
		p.add(pattern, 1)
		if got, want := len(p.match(topic)) == 1, slowMatch(pattern, topic); got != want {
			t.Errorf("%q against %q: %v, want %v", pattern, topic, got, want)
		}
	})
}

func slowMatch(pattern, topic string) bool {
	var b strings.Builder
	for word := range strings.SplitSeq(pattern, ".") {
		switch word {
		case "*":
			b.WriteString(`\.[^.]*`)
		case "#":
			b.WriteString(`(\.[^.]*)*`)
		default:
			b.WriteString(`\.` + regexp.QuoteMeta(word))
		}
	}
	re, err := regexp.Compile(`(?s)^` + b.String() + `$`)
	return err == nil && re.MatchString("."+topic)
}

func BenchmarkRouteAmong10000Subscriptions(b *testing.B) {
	var p patterns[int]
	for i := range 10_000 {
		p.add(fmt.Sprintf("area%d.*.event%d", i%100, i), i)
		p.add(fmt.Sprintf("#.event%d", i), i)
	}
	for b.Loop() {
		if len(p.match("area7.thing.event7")) != 1 {
			b.Fatal("no match")
		}
	}
}

func TestTheDeadAreMatchedByNameAlone(t *testing.T) {
	t.Parallel()
	var p patterns[string]
	for _, pattern := range []string{"#", "*.dead", "#.dead", "*.*", "relay", "relay.dead.*", "relay.dead", "relay.*", "relay.#", "relay.#.dead"} {
		p.add(pattern, pattern)
	}
	found := p.match("relay.dead")
	slices.Sort(found)
	if want := []string{"relay.#", "relay.#.dead", "relay.*", "relay.dead"}; !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
	if n := len(p.match("relay.test")); n != 4 {
		t.Errorf("another topic that begins so is matched by %d patterns, want 4", n)
	}
}
