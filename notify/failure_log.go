package notify

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"relay"
)

const (
	// failureEvery is how often the same failure of a subscriber is logged at most.
	failureEvery = time.Minute
	// failureKinds bounds how many failures are told apart. What is above is counted with the others.
	failureKinds = 1000
)

// failureLog logs deliveries that fail: once for each subscriber and cause in a minute, with the count of what was not
// logged, and the command that shows more.
type failureLog struct {
	log *slog.Logger

	mu    sync.Mutex
	kinds map[failureKind]*failureCount
}

// failureKind is one cause of failure at one subscription.
type failureKind struct{ subscription, cause string }

type failureCount struct {
	at       time.Time // when it was logged
	unlogged int       // since then
}

func newFailureLog(log *slog.Logger) *failureLog {
	return &failureLog{log: log, kinds: make(map[failureKind]*failureCount)}
}

// note logs how an attempt ended unless it ended well or the same was logged within a minute.
func (f *failureLog) note(d *relay.Delivery, o relay.Outcome, now time.Time) {
	switch o.Class {
	case relay.ClassPushFailed, relay.ClassHandleFailed, relay.ClassDead:
	default:
		return
	}
	before, say := f.count(failureKind{d.Subscriber.Name, failureCause(o)}, now)
	if !say {
		return
	}
	id := d.Message.ID.String()
	f.log.Warn("a delivery failed", "subscription", d.Subscriber.Name, "target", d.Subscriber.Target.Redacted(), "message", id,
		"attempt", d.Attempt, "error", o.Error, "not_logged_before", before, "more", "relay messages show "+id)
}

// count counts a failure, and reports whether it is to be logged, and how many were not since the last that was.
func (f *failureLog) count(kind failureKind, now time.Time) (before int, say bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.kinds[kind]
	if c == nil {
		f.forget(now)
		if len(f.kinds) >= failureKinds {
			kind = failureKind{}
			c = f.kinds[kind]
		}
	}
	if c == nil {
		c = new(failureCount)
		f.kinds[kind] = c
	}
	if !c.at.IsZero() && now.Sub(c.at) < failureEvery {
		c.unlogged++
		return 0, false
	}
	before = c.unlogged
	*c = failureCount{at: now}
	return before, true
}

// forget drops what has not been logged lately, once there are many.
func (f *failureLog) forget(now time.Time) {
	if len(f.kinds) < failureKinds {
		return
	}
	for kind, c := range f.kinds {
		if now.Sub(c.at) >= failureEvery {
			delete(f.kinds, kind)
		}
	}
}

// failureCause tells causes apart: the code of the answer, or else the error without its numbers, which may be ports
// and times.
func failureCause(o relay.Outcome) string {
	text := o.Error
	if o.Code != 0 {
		_, text, _ = strings.Cut(text, "answered ")
	}
	return strings.Map(func(r rune) rune {
		if o.Code == 0 && r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}
