package machine

import (
	"testing"
	"time"

	"relay"
	"relay/retry"
)

func TestNothingIsSentAfterTheLease(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(Reported{Rows: []Report{report(1, "")}})
	c := one[ReadRow](d)
	d.do(Renewed{Until: d.now + time.Millisecond})
	d.wait(5 * time.Millisecond)
	d.do(RowRead{Entry: c.Entry, Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(1, "", s)})
	d.none()
	d.do(Renewed{Until: time.Hour})
	one[ReadRow](d)
}

func TestShardThatWasAnothersInBetween(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outcome relay.Outcome
		open    bool
		written bool
	}{
		"accepted":       {accepted(), true, true},
		"failed":         {failed(relay.ClassPushFailed), true, false},
		"failed, taking": {failed(relay.ClassPushFailed), false, true},
	} {
		d, s := drive(t, testConfig), subscriber("s")
		var send Send
		if c.open {
			d.due(1, s)
			d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: openRow(1, "", s, retry.Open{Status: relay.DeliveryPushFailed, Attempts: 1})})
			send = one[Send](d)
		} else {
			send = d.plain(1, s)[0]
		}
		d.do(Lost{Shard: 0})
		d.do(Leased{Shard: 0, Epoch: 3})
		d.take()
		d.do(answered(send, c.outcome))
		got := d.take()
		if written := len(got) == 1; written != c.written || written && got[0].(Write).Epoch != 3 {
			t.Errorf("%s: commands %+v", name, got)
		}
	}
}

func TestOutcomeOfALostShardIsForgotten(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	send := d.plain(1, s)[0]
	d.do(Lost{Shard: 0})
	d.do(answered(send, accepted()))
	d.none()
	d.empty()
}

// A write is fenced as well while another session holds the lease's row for a moment: only the loop knows whether the
// shard is another relay's.
func TestFencedWriteIsMadeAgainUntilTheShardIsLost(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	first := d.plain(1, s)[0]
	d.do(Reported{Rows: []Report{report(2, "")}})
	one[ReadRow](d)
	d.do(answered(first, accepted()))
	write := one[Write](d)
	d.do(NotWritten{Entry: write.Entry, Why: WhyFenced})
	d.none()
	if d.m.Failing() {
		t.Fatal("a fenced write says that nothing can be written")
	}
	d.wait(60 * time.Millisecond)
	if again := one[Write](d); again.Entry != write.Entry || again.Tries != 1 || again.Since < 50*time.Millisecond {
		t.Fatalf("write %+v", again)
	}
	d.do(NotWritten{Entry: write.Entry, Why: WhyFenced})
	d.do(Lost{Shard: 0})
	d.do(RowRead{Entry: pendingID(2), Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(2, "", s)})
	d.wait(time.Second)
	d.none()
	d.empty()
}

func TestDrain(t *testing.T) {
	t.Parallel()
	d, a, b := drive(t, testConfig), subscriber("a"), subscriber("b")
	sends := d.plain(1, a, b)
	d.do(Drain{Shard: 0})
	d.do(Drain{Shard: 0})
	d.do(Reported{Rows: []Report{report(2, ""), report(3, "k")}})
	d.none()
	d.do(answered(sends[0], accepted()))
	d.do(answered(sends[1], parkedAs(relay.ReasonNone)))
	d.do(Written{Entry: one[Write](d).Entry})
	if c := one[Release](d); c.Shard != 0 {
		t.Fatalf("release %+v", c)
	}
	d.empty()
}

func TestStop(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	send := d.plain(1, s)[0]
	d.do(Reported{Rows: []Report{report(2, "k")}})
	one[ReadKey](d)
	d.do(Stop{})
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(2, "k", s)}})
	d.none()
	d.do(Drain{Shard: 0})
	d.do(answered(send, accepted()))
	d.do(Written{Entry: one[Write](d).Entry})
	one[Release](d)
}

func TestReadFromBeforeANewEpochIsReadAgain(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(Reported{Rows: []Report{report(1, ""), report(2, "k")}})
	d.take()
	d.do(Leased{Shard: 0, Epoch: 2})
	d.take()
	d.do(RowRead{Entry: pendingID(1), Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(1, "", s)})
	one[ReadRow](d)
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{pendingRow(2, "k", s)}})
	one[ReadKey](d)
}
