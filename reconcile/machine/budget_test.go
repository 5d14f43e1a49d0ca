package machine

import (
	"testing"
	"time"

	"relay"
)

func TestFullMemoryLeavesRowsToASweep(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Entries = 8
	d := drive(t, config)
	d.quiet = false
	for n := range 9 {
		d.do(Reported{Rows: []Report{report(n, ""), report(20+n, "k")}})
	}
	if held := d.m.Held().Entries; held != 7 {
		t.Fatalf("holds %d entries of 8; the last is for sweeps", held)
	}
	d.take()
	d.wait(600 * time.Millisecond)
	if c := one[Sweep](d); c.Limit != 1 || !c.Begin {
		t.Fatalf("sweep %+v", c)
	}
	d.do(Swept{Rows: []Report{{ID: id(90)}, {ID: id(91)}}})
	d.take()
	d.do(Swept{Failed: true})
	d.none()
}

// TestASweepThatFailsIsMadeAgainAsItWas checks that the next sweep looks for the keys that only wait if the one that
// failed did.
func TestASweepThatFailsIsMadeAgainAsItWas(t *testing.T) {
	t.Parallel()
	d := drive(t, testConfig)
	d.quiet = false
	sweep := func() (found Sweep) {
		for _, c := range d.take() {
			if s, ok := c.(Sweep); ok {
				found = s
			}
		}
		return found
	}
	d.do(SweepNow{All: true})
	if c := sweep(); !c.Waiting {
		t.Fatalf("sweep %+v", c)
	}
	d.do(Swept{Failed: true})
	d.wait(sweepAfter)
	if c := sweep(); !c.Waiting || !c.Begin {
		t.Fatalf("after one that failed: sweep %+v", c)
	}
}

func TestDestinationKeepsToItsShare(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Bytes = 100
	d, a, b := drive(t, config), subscriber("a"), subscriber("b")
	n := 0
	for ; n < 10; n++ {
		d.do(Reported{Rows: []Report{report(n, "")}})
		got := d.take()
		if len(got) == 0 {
			break
		}
		row := pendingRow(n, "", a)
		row.Size = 20
		d.do(RowRead{Entry: got[0].(ReadRow).Entry, Snapshot: shows(1000), Verdict: Readable, Row: row})
		if len(d.take()) == 0 {
			break
		}
	}
	if bytes := d.m.Held().Bytes; bytes != 80 {
		t.Fatalf("one destination holds %d bytes of 100", bytes)
	}
	if sends := d.plain(50, b); len(sends) != 1 {
		t.Fatalf("sends %+v to the other one", sends)
	}
}

func TestSlowDestinationIsParkedAtOnce(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Entries = 4
	d, s := drive(t, config), subscriber("s")
	d.plain(1, s)
	second := d.plain(2, s)[0]
	d.do(answered(second, parkedAs(relay.ReasonCircuitOpen)))
	one[Write](d)
	d.do(Reported{Rows: []Report{report(3, "")}})
	d.do(RowRead{Entry: one[ReadRow](d).Entry, Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(3, "", s)})
	if got := d.take(); len(got) != 1 {
		t.Fatalf("commands %+v", got)
	}
}

func TestWhatWaitsBehindGivesWay(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Bytes = 50
	d, s := drive(t, config), subscriber("s")
	two := pendingRow(2, "k", s)
	two.Size = 30
	other := pendingRow(3, "k", s)
	d.keyed("k", two, other)
	send := one[Send](d)
	d.do(Reported{Rows: []Report{report(1, "k")}})
	if c := one[ReadKey](d); c.After != 0 {
		t.Fatalf("read %+v", c)
	}
	low := pendingRow(1, "k", s)
	low.Size = 25
	d.do(KeyRead{Key: "k", Snapshot: shows(1000), Rows: []Row{low}})
	if d.m.pending[id(3)] != nil {
		t.Fatal("the message behind is still in memory")
	}
	_ = send
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	d := drive(t, testConfig)
	d.quiet = false
	d.do(SweepNow{})
	if c := one[Sweep](d); c.Waiting {
		t.Fatalf("sweep %+v", c)
	}
	d.do(Swept{Keys: []Report{{Key: "k"}}, End: true})
	one[ReadKey](d)
	d.now += 2 * time.Minute
	d.do(SweepNow{})
	for _, c := range d.take() {
		if sweep, ok := c.(Sweep); ok && !sweep.Waiting {
			t.Fatalf("sweep %+v", sweep)
		}
	}
	d.do(Due{Failed: true})
	d.do(Reported{Rows: []Report{{ID: id(1), DueIn: time.Second}}})
	d.do(Found{Rows: []Report{{ID: id(2), DueIn: time.Second}}})
}

// A pass that failed is followed by one that looks at as much as it was to look at.
func TestSweepThatFailedIsMadeAgainAsAWhole(t *testing.T) {
	t.Parallel()
	d := drive(t, testConfig)
	d.quiet, d.idle = false, true
	d.do(SweepNow{All: true})
	if c := only[Sweep](d); !c.Waiting {
		t.Fatalf("sweep %+v", c)
	}
	d.do(Swept{Failed: true})
	d.wait(sweepAfter)
	if c := only[Sweep](d); !c.Begin || !c.Waiting {
		t.Fatalf("sweep %+v, want keys that wait to be looked at again", c)
	}
}

// Each group of shards has passes of its own, with a limit of its own.
func TestGroupsSweepApart(t *testing.T) {
	t.Parallel()
	config := testConfig
	config.Sweeps = []int{7, 3}
	d := drive(t, config)
	d.quiet, d.idle = false, true
	d.take()
	d.do(SweepNow{Group: 1})
	if c := one[Sweep](d); c.Group != 1 || c.Limit != 3 || !c.Begin {
		t.Fatalf("sweep %+v", c)
	}
	d.do(SweepNow{Group: 0})
	if c := one[Sweep](d); c.Group != 0 || c.Limit != 7 {
		t.Fatalf("sweep %+v", c)
	}
	d.do(Swept{Group: 1, Rows: []Report{{ID: id(1)}}})
	if got := d.take(); len(got) != 2 || got[1].(Sweep) != (Sweep{Group: 1, Limit: 3}) {
		t.Fatalf("commands %+v, want the row and the next statement of the same group", got)
	}
	d.do(Swept{Group: 1, End: true})
	d.do(SweepNow{All: true})
	if got := commands[Sweep](d); len(got) != 1 || got[0].Group != 1 || !got[0].Waiting {
		t.Fatalf("sweeps %+v, for the other group is being swept", got)
	}
}
