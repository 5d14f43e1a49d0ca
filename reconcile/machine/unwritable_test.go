package machine

import (
	"testing"
	"time"

	"relay"
)

// unwritableAt has outcomes of a destination refused by the database for the rows' sake, and returns what was to be
// written.
func unwritableAt(d *driver, s *relay.Subscriber, from, n int) (writes []Write) {
	d.t.Helper()
	for i := range n {
		sends := d.plain(from+i, s)
		if len(sends) != 1 {
			d.t.Fatalf("%d attempts for message %d", len(sends), from+i)
		}
		d.do(answered(sends[0], accepted()))
		c := one[Write](d)
		d.do(NotWritten{Entry: c.Entry, Why: WhyFailed})
		d.none()
		writes = append(writes, c)
	}
	return writes
}

// write has an outcome of a destination written.
func write(d *driver, n int, s *relay.Subscriber) {
	d.t.Helper()
	d.do(answered(d.plain(n, s)[0], accepted()))
	d.do(Written{Entry: one[Write](d).Entry})
}

func blocked(d *driver) bool {
	names, _ := d.m.Blocked()
	return names["s"]
}

// unwritableConfig has room for more outcomes than one destination may have that cannot be written.
func unwritableConfig() Config {
	config := testConfig
	config.Entries = 16 * 20
	return config
}

// An outcome that cannot be written whatever its values are keeps them, and is tried more and more rarely.
func TestOutcomeThatFailsForItsRowKeepsItsValues(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	d.do(answered(d.plain(1, s)[0], failed(relay.ClassHandleFailed)))
	first := one[Write](d)
	d.do(NotWritten{Entry: first.Entry, Why: WhyFailed})
	if d.m.Failing() {
		t.Fatal("one row says that nothing can be written")
	}
	for n, wait := range []time.Duration{refusedFirst, 2 * refusedFirst, 4 * refusedFirst} {
		d.wait(wait - 10*time.Millisecond)
		d.none()
		d.wait(10 * time.Millisecond)
		again := one[Write](d)
		if again.Last != WhyFailed || again.Tries != n+1 || again.Reduced != 0 || again.Changes[0].Attempt == nil || again.Since < wait-10*time.Millisecond {
			t.Fatalf("write %+v", again)
		}
		d.do(NotWritten{Entry: first.Entry, Why: WhyFailed})
	}
	if !d.m.Unwritable()[0] || d.m.Unwritable()[1] {
		t.Fatalf("unwritable %v", d.m.Unwritable())
	}
	d.do(Written{Entry: first.Entry}) // the answer to one of them was late
	if d.m.Unwritable()[0] {
		t.Fatal("still unwritable")
	}
	d.empty()
}

// A destination with too many of them is sent nothing more until some are written. The others go on.
func TestDestinationWithUnwritableOutcomesIsSentNothing(t *testing.T) {
	t.Parallel()
	d, s, other := drive(t, unwritableConfig()), subscriber("s"), subscriber("other")
	d.wait(StalledAll)
	d.take()
	write(d, 60, other)
	writes := unwritableAt(d, s, 1, 19)
	if _, changes := d.m.Blocked(); blocked(d) || changes != 0 {
		t.Fatal("it is blocked with fewer than a sixteenth of what memory holds")
	}
	writes = append(writes, unwritableAt(d, s, 20, 1)...)
	if _, changes := d.m.Blocked(); !blocked(d) || changes != 1 {
		t.Fatal("it is not blocked")
	}
	if sends := d.plain(50, s); len(sends) != 0 {
		t.Fatalf("sends %+v", sends)
	}
	if sends := d.plain(51, other); len(sends) != 1 {
		t.Fatalf("sends %+v to the other", sends)
	}
	d.do(Written{Entry: writes[0].Entry})
	if blocked(d) {
		t.Fatal("it is still blocked")
	}
	hurried := d.take()
	if len(hurried) != 19 {
		t.Fatalf("%d are tried at once since one could be written, want 19", len(hurried))
	}
	for _, c := range hurried {
		if w := c.(Write); w.Last != WhyFailed || w.Changes[0].Destination != "s" {
			t.Fatalf("write %+v, want those that failed at once", w)
		}
	}
	d.do(NotWritten{Entry: writes[1].Entry, Why: WhyFailed})
	for _, w := range writes[2:] {
		d.do(Written{Entry: w.Entry})
	}
	d.none() // the one that failed again was tried a moment ago
	d.do(Written{Entry: writes[1].Entry})
	d.none()
	d.wait(blockedRetry)
	if got := commands[ReadRow](d); len(got) != 1 || got[0].Entry != pendingID(50) {
		t.Fatalf("reads %+v", got)
	}
}

// Sixteen are enough if nothing of the destination has been written for a second.
func TestDestinationThatIsStalledIsBlockedSooner(t *testing.T) {
	t.Parallel()
	for _, written := range []bool{false, true} {
		d, s := drive(t, unwritableConfig()), subscriber("s")
		unwritableAt(d, s, 1, 15)
		d.wait(stalledAfter - 50*time.Millisecond)
		d.take()
		if written {
			write(d, 40, s)
		}
		d.now += 60 * time.Millisecond
		send := d.plain2(16, s)
		d.do(answered(send, accepted()))
		w := only[Write](d)
		d.do(NotWritten{Entry: w.Entry, Why: WhyLocked})
		if blocked(d) == written {
			t.Fatalf("written %t: blocked %t", written, blocked(d))
		}
	}
}

// They are enough at once if nothing of any destination has been written for two seconds.
func TestDestinationIsBlockedSoonerWhereNothingIsWritten(t *testing.T) {
	t.Parallel()
	for _, written := range []bool{false, true} {
		d, s := drive(t, unwritableConfig()), subscriber("s")
		d.wait(StalledAll)
		d.take()
		if written {
			write(d, 40, subscriber("other"))
		}
		unwritableAt(d, s, 1, 15)
		if blocked(d) {
			t.Fatal("it is blocked with fewer than sixteen")
		}
		unwritableAt(d, s, 16, 1)
		if blocked(d) == written {
			t.Fatalf("written %t: blocked %t", written, blocked(d))
		}
	}
}

// plain2 is plain for one subscriber where other commands come, too.
func (d *driver) plain2(n int, s *relay.Subscriber) Send {
	d.t.Helper()
	d.do(Reported{Rows: []Report{report(n, "")}})
	d.do(RowRead{Entry: only[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(n, "", s)})
	return only[Send](d)
}

// One half of what memory holds is the most for all destinations together.
func TestUnwritableOutcomesOfAllDestinationsAreBounded(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Entries = 8
	d := drive(t, config)
	d.do(Written{Entry: unwritableAt(d, subscriber("a"), 5, 1)[0].Entry}) // it counts no more
	unwritableAt(d, subscriber("a"), 1, 1)
	unwritableAt(d, subscriber("b"), 2, 1)
	unwritableAt(d, subscriber("c"), 3, 1)
	if names, _ := d.m.Blocked(); len(names) != 0 {
		t.Fatalf("blocked %v", names)
	}
	unwritableAt(d, subscriber("s"), 4, 1)
	if !blocked(d) {
		t.Fatal("it is not blocked")
	}
}

// When the last of them is written nothing is blocked, and nothing is known of the destination any more.
func TestNothingIsBlockedWithoutUnwritableOutcomes(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Entries = 3
	d, s := drive(t, config), subscriber("s")
	w := unwritableAt(d, s, 1, 1)[0]
	if !blocked(d) {
		t.Fatal("it is not blocked")
	}
	d.do(Written{Entry: w.Entry})
	if blocked(d) {
		t.Fatal("it is still blocked")
	}
	d.do(Reported{Rows: []Report{report(2, "")}})
	row := pendingRow(2, "")
	row.Rejected = "no route"
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: row})
	d.do(NotWritten{Entry: one[Write](d).Entry, Why: WhyFailed})
	d.do(Written{Entry: pendingID(2)})
	if len(d.m.destinations.byName) != 0 {
		t.Fatalf("still knows %v", d.m.destinations.byName)
	}
	d.empty()
}

// A relay that stops tries what waits soon, and once more each time after.
func TestStopHurriesWhatIsToBeWritten(t *testing.T) {
	t.Parallel()
	d, s := drive(t, testConfig), subscriber("s")
	w := unwritableAt(d, s, 1, 1)[0]
	d.do(Stop{})
	for range 3 {
		d.wait(whenStopping)
		if c := one[Write](d); c.Entry != w.Entry {
			t.Fatalf("write %+v", c)
		}
		d.do(NotWritten{Entry: w.Entry, Why: WhyFailed})
	}
}

func TestReduces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		write Write
		want  bool
	}{
		{Write{}, true},
		{Write{Reduced: 1}, false},
		{Write{Reduced: 1, Taking: true, MessageStatus: relay.MessageOpen}, true},
		{Write{Reduced: 1, Taking: true, MessageStatus: relay.MessageRejected}, false},
		{Write{Reduced: 2, Taking: true, MessageStatus: relay.MessageOpen}, false},
	} {
		if got := c.write.Reduces(); got != c.want {
			t.Errorf("%+v: %t", c.write, got)
		}
	}
}
