package relay_test

import (
	"os"
	"strings"
	"testing"

	"relay"
)

// TestEachCauseSaysWhatToDo: a paragraph of docs/troubleshooting.md for each, under a heading that
// links reach.
func TestEachCauseSaysWhatToDo(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	paragraphs := map[string]string{}
	for section := range strings.SplitSeq(string(page), "\n### ") {
		heading, text, _ := strings.Cut(section, "\n")
		paragraphs[heading] = strings.TrimSpace(text)
	}
	causes := append(relay.Causes(), relay.HTTPCause(418), relay.AMQPCause(541))
	for code := 400; code < 600; code++ {
		causes = append(causes, relay.HTTPCause(code))
	}
	for _, code := range []int{311, 403, 404, 405, 406, 530} {
		causes = append(causes, relay.AMQPCause(code))
	}
	for _, cause := range causes {
		heading := cause.Heading()
		if !cause.Known() || cause.Side() == "" || len(cause) > 64 {
			t.Errorf("%q is known %v, side %q", cause, cause.Known(), cause.Side())
		}
		if len(paragraphs[heading]) < 80 {
			t.Errorf("%q has no paragraph under the heading %q", cause, heading)
		}
		if want := strings.ReplaceAll(strings.ReplaceAll(heading, ":", ""), " ", "-"); cause.Anchor() != want {
			t.Errorf("%q leads to #%s, its heading is #%s", cause, cause.Anchor(), want)
		}
	}
}

// TestEachClassOfCausesStandsForItsHeading: metrics count by heading, and what has no class would not be counted.
func TestEachClassOfCausesStandsForItsHeading(t *testing.T) {
	t.Parallel()
	headings := map[string]bool{}
	for _, class := range relay.CauseClasses() {
		if heading := class.Heading(); heading == "" || headings[heading] {
			t.Errorf("%q has the heading %q, which is empty or that of another class", class, heading)
		}
		headings[class.Heading()] = true
	}
	causes := relay.Causes()
	for code := range 1000 {
		causes = append(causes, relay.HTTPCause(code), relay.AMQPCause(code))
	}
	for _, cause := range causes {
		if !headings[cause.Heading()] {
			t.Errorf("no class stands for %q, whose heading is %q", cause, cause.Heading())
		}
	}
}

func TestOnlyCausesOfTheListAreKnown(t *testing.T) {
	t.Parallel()
	for _, cause := range []relay.Cause{"", "DNS", "http", "http 1", "http 4xx", "http 5000", "ftp 404", "boom", "http  404"} {
		if cause.Known() || cause.Side() != "" || cause.Heading() != "" {
			t.Errorf("%q is taken for a cause: side %q, heading %q", cause, cause.Side(), cause.Heading())
		}
	}
	for cause, side := range map[relay.Cause]relay.FailureSide{
		relay.HTTPCause(503): relay.PushSide, relay.HTTPCause(429): relay.PushSide, relay.HTTPCause(500): relay.HandleSide,
		relay.HTTPCause(302): relay.HandleSide, relay.AMQPCause(404): relay.PushSide, relay.CauseNoAck: relay.HandleSide,
		relay.CauseNoRoute: relay.SendSide,
	} {
		if cause.Side() != side {
			t.Errorf("%q is a failure of %s, want %s", cause, cause.Side(), side)
		}
	}
}

// Each reason for which a message is rejected has a cause of its own.
func TestRejectionsHaveCauses(t *testing.T) {
	t.Parallel()
	for reason, want := range map[relay.Rejection]relay.Cause{
		"no route: the row names no destination":                                                     relay.CauseNoRoute,
		"destination: there is no subscription \"a\"":                                                relay.CauseBadTarget,
		"there is no subscription \"a\" any more":                                                    relay.CauseBadTarget,
		"the queue \"amq.x\" is reserved: a row's own destination cannot name what begins with amq.": relay.CauseBadTarget,
		"header \"a b\": the name is not a token of RFC 9110":                                        relay.CauseBadHeader,
		"headers: not an object of strings":                                                          relay.CauseBadHeader,
		"content type \"x\" holds a control character, or one outside ASCII":                         relay.CauseBadHeader,
		"too large: payload, headers, source and destination of 9 bytes":                             relay.CauseTooLarge,
		"routing key of 300 bytes, AMQP allows 255":                                                  relay.CauseTooLarge,
		"anything else": relay.CauseCannotBeSent,
	} {
		if got := reason.Cause(); got != want {
			t.Errorf("%q: %q, want %q", reason, got, want)
		}
	}
}
