package simulate

import (
	"fmt"
	"strings"
	"time"

	"relay"
)

func (r *row) keyWords() string {
	if r.key < 0 {
		return ""
	}
	return fmt.Sprintf(" of key %s", keyNames[r.key])
}

func maskWords(mask uint8) string {
	var names []string
	for i, name := range subNames {
		if mask&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "no subscription"
	}
	return strings.Join(names, " and ")
}

func delayWords(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return fmt.Sprintf(", due after %s", d.Round(time.Millisecond))
}

func reasonWords(r relay.Reason) string {
	if r == relay.ReasonNone {
		return ""
	}
	return fmt.Sprintf(" (%s)", r)
}

func classWords(c relay.Class) string {
	switch c {
	case relay.ClassDelivered, relay.ClassHandled:
		return "accepted"
	case relay.ClassAwaitingAck:
		return "accepted, and will acknowledge,"
	case relay.ClassPushFailed:
		return "could not be reached with"
	case relay.ClassHandleFailed:
		return "failed on"
	case relay.ClassDead:
		return "refused for good"
	}
	return "perhaps took"
}
