package sql

import (
	"strings"
	"time"
)

// arguments turns changes into one array for each column, in the order of changeRows.
func arguments(lease Lease, changes []Change) []any {
	shards, epochs := lease.of(changes)
	n := len(changes)
	var (
		ids           = make([][16]byte, n)
		subscription  = make([]string, n)
		instance      = make([]string, n)
		target        = make([]string, n)
		circuit       = make([]string, n)
		messageStatus = make([]string, n)
		outstanding   = make([]int32, n)
		status        = make([]string, n)
		reason        = make([]string, n)
		attempts      = make([]int32, n)
		handles       = make([]int32, n)
		next          = make([]int64, n)
		code          = make([]int32, n)
		texts         = make([]string, n)
		attempt       = make([]int32, n)
		started       = make([]time.Time, n)
		duration      = make([]int64, n)
		outcome       = make([]string, n)
		response      = make([][]byte, n)
		cause         = make([]string, n)
	)
	for i, c := range changes {
		ids[i] = c.Delivery.Message
		subscription[i], instance[i] = c.Delivery.Subscription, c.Delivery.Instance
		target[i], circuit[i] = text(c.Target), text(c.Circuit)
		messageStatus[i], outstanding[i] = string(c.MessageStatus), int32(c.Outstanding)
		status[i], reason[i] = string(c.Status), string(c.Reason)
		attempts[i], handles[i] = int32(c.Attempts), int32(c.HandleAttempts)
		next[i] = -1
		if c.NextAttempt >= 0 {
			next[i] = c.NextAttempt.Microseconds()
		}
		code[i], texts[i], cause[i] = int32(c.ResponseCode), text(c.Error), string(c.Cause)
		if a := c.Attempt; a != nil {
			attempt[i], started[i], duration[i] = int32(a.Number), a.Started, a.Duration.Microseconds()
			outcome[i], response[i] = string(a.Outcome), a.Response
		}
	}
	return []any{
		[16]byte(lease.Owner), shards, epochs,
		ids, subscription, instance, target, circuit, messageStatus, outstanding, status, reason,
		attempts, handles, next, code, texts,
		attempt, started, duration, outcome, response, cause,
	}
}

// text makes a string that PostgreSQL can store: valid UTF-8 without NUL.
func text(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
