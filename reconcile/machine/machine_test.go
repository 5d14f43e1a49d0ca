package machine

import (
	"testing"
	"time"

	"relay"
)

// BenchmarkMessage measures what the machine itself costs for one message: four events.
func BenchmarkMessage(b *testing.B) {
	for name, key := range map[string]string{"plain": "", "keyed": "k"} {
		b.Run(name, func(b *testing.B) {
			m := New(testConfig)
			m.Step(0, Renewed{Until: 1 << 60})
			m.Step(0, Leased{Shard: 0, Epoch: 1})
			m.Step(0, Swept{End: true})
			m.Step(0, Due{Next: -1})
			s := subscriber("s")
			now := time.Duration(0)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				now += 10 * time.Microsecond
				row := pendingRow(n%200, key, s)
				row.Message.Seq = int64(n + 1)
				r := report(n%200, key)
				r.Seq = row.Message.Seq
				m.Step(now, Reported{Rows: []Report{r}})
				if key == "" {
					m.Step(now, RowRead{Entry: relay.DeliveryID{Message: row.Message.ID}, Snapshot: shows(1000), Verdict: Readable, Row: row})
				} else {
					m.Step(now, KeyRead{Key: key, Snapshot: shows(1000), Rows: []Row{row}})
				}
				m.Step(now, AttemptEnded{Entry: relay.DeliveryID{Message: row.Message.ID}, Subscription: "s", Outcome: accepted()})
				m.Step(now, Written{Entry: relay.DeliveryID{Message: row.Message.ID}})
			}
			if held := m.Held(); held.Entries != 0 {
				b.Fatalf("holds %+v", held)
			}
		})
	}
}

// TestTickMayComeAnyTime checks that a machine without anything to do does nothing.
func TestTickMayComeAnyTime(t *testing.T) {
	t.Parallel()
	d := drive(t, testConfig)
	for range 10 {
		d.wait(100 * time.Millisecond)
	}
	d.none()
	d.do(AttemptEnded{Entry: pendingID(1), Outcome: relay.Outcome{Class: relay.ClassHandled}})
	d.do(Written{Entry: pendingID(1)})
	d.do(NotWritten{Entry: pendingID(1), Why: WhyGone})
	d.do(RowRead{Entry: pendingID(1)})
	d.do(KeyRead{Key: "k"})
	d.do(Room{Destination: "s", Deliveries: 1})
	d.none()
	d.empty()
}
