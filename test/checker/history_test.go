package checker_test

import (
	"testing"

	"relay/test/checker"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	e := worded("handled", []checker.Word{says(true, false, 3, 204)}, came("a", 2), came("b", 2))
	e.Requests = append(e.Requests, came("a", 1.9))
	const want = `a
	00:00:01.000 inserted (committed), key "k", topic t.x, destination ""
	00:00:01.500 its transaction has ended
	00:00:01.900 attempt 0 came to s and was refused
	00:00:02.000 attempt 0 came to s and was accepted
	00:00:02.100 s is awaiting_ack
	00:00:03.000 handled of a for s at 00:00:03.000, answered 204 at 00:00:03.100
	00:00:04.000 s is handled`
	if got := checker.History(e, "a"); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
