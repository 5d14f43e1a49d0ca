package reconcile

import (
	"testing"
	"time"

	"relay"
	"relay/sql"
)

// A message that was due by this machine's clock, and not by the database's, was found by the
// next look, up to a second late.
func TestAMessageThatIsReadTooEarlyIsLookedForAgain(t *testing.T) {
	t.Parallel()
	now := time.Now()
	message, delivery := sql.DeliveryID{Message: relay.NewID()}, sql.DeliveryID{Message: relay.NewID(), Subscription: "sub"}
	for name, c := range map[string]struct {
		id        sql.DeliveryID
		deliverAt time.Time
		looks     time.Time // zero: as ever
	}{
		"this clock is ahead":      {message, now.Add(-10 * time.Millisecond), now.Add(-10 * time.Millisecond)},
		"reported without a time":  {message, now.Add(time.Hour), now.Add(time.Hour)},
		"never due":                {message, time.Time{}, time.Time{}},
		"a delivery with its word": {delivery, now.Add(-time.Hour), time.Time{}},
	} {
		e := &core{registry: newRegistry(10, 1000), due: newAlarm()}
		e.wire()
		en := e.registry.claim(entry{id: c.id, streamed: true}, 0)
		if e.rows.judge(en, &sql.MessageRow{Verdict: sql.NotDue, Message: relay.Message{DeliverAt: c.deliverAt}}, &sql.Limits{}) != nil {
			t.Errorf("%s: it is sent", name)
		}
		if n, _ := e.registry.memory.size(); n != 0 {
			t.Errorf("%s: it stays registered", name)
		}
		if e.due.at != c.looks {
			t.Errorf("%s: looked for again at %s, want %s", name, e.due.at, c.looks)
		}
	}
}
