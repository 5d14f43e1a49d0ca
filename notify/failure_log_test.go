package notify

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"relay"
)

func TestAFailureIsLoggedOncePerCauseAndMinute(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	f := newFailureLog(slog.New(slog.NewTextHandler(&b, nil)))
	target, err := relay.ParseTarget("https://u:hunter2@shop.example/in")
	if err != nil {
		t.Fatal(err)
	}
	id := relay.NewID()
	d := &relay.Delivery{Message: &relay.Message{ID: id}, Subscriber: &relay.Subscriber{Name: "billing", Target: target}, Attempt: 3}
	now := time.Now()
	for i := range 10 {
		f.note(d, relay.Outcome{Class: relay.ClassPushFailed, Error: fmt.Sprintf("127.0.0.1:%d: connection refused", 1000+i)}, now)
		f.note(d, relay.Outcome{Class: relay.ClassHandleFailed, Code: 500, Error: "answered 500"}, now)
		f.note(d, relay.Outcome{Class: relay.ClassHandled}, now)
		f.note(d, relay.Outcome{Class: relay.ClassParked, Error: "waits"}, now)
	}
	if n := strings.Count(b.String(), "a delivery failed"); n != 2 {
		t.Errorf("%d lines:\n%s", n, &b)
	}
	for _, want := range []string{"subscription=billing", "target=https://shop.example/in", "attempt=3", "connection refused", "answered 500", `more="relay messages show ` + id.String()} {
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "hunter2") {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	b.Reset()
	f.note(d, relay.Outcome{Class: relay.ClassHandleFailed, Code: 500, Error: "answered 500"}, now.Add(failureEvery))
	if !strings.Contains(b.String(), "not_logged_before=9") {
		t.Errorf("a minute later:\n%s", &b)
	}
	for i := range 2 * failureKinds {
		f.note(d, relay.Outcome{Class: relay.ClassHandleFailed, Code: 1, Error: fmt.Sprint("answered ", i)}, now)
	}
	if len(f.kinds) > failureKinds+1 {
		t.Errorf("%d failures are told apart", len(f.kinds))
	}
}
