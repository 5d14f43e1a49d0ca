package machine

import (
	"slices"
	"testing"
	"time"

	"relay"
	"relay/retry"
)

// driver gives a machine events and keeps what it commands.
type driver struct {
	t     *testing.T
	m     *Machine
	now   time.Duration
	got   []Command
	quiet bool // sweeps, due times and backlogs are answered with nothing
	idle  bool // due times are, if the others are not
}

var testConfig = Config{
	Policy:  retry.Policy{Backoff: []time.Duration{time.Second}, MaxAttempts: 3},
	Entries: 100, Bytes: 1 << 20, ReadAhead: 4, MostAhead: 16, Batch: 10, Sweeps: []int{10},
}

// drive returns the driver of a machine that owns shard 0 under epoch 1 for an hour.
func drive(t *testing.T, config Config) *driver {
	t.Helper()
	d := &driver{t: t, m: New(config), quiet: true}
	d.do(Renewed{Until: time.Hour})
	d.do(Leased{Shard: 0, Epoch: 1})
	d.take()
	return d
}

// do gives an event, a millisecond after the last.
func (d *driver) do(e Event) {
	d.t.Helper()
	d.now += time.Millisecond
	for _, c := range slices.Clone(d.m.Step(d.now, e)) {
		switch c := c.(type) {
		case Sweep:
			if d.quiet {
				d.do(Swept{Group: c.Group, End: true})
				continue
			}
		case FindDue:
			if d.quiet || d.idle {
				d.do(Due{Next: -1})
				continue
			}
		case FindBacklog:
			if d.quiet {
				d.do(Backlog{})
				continue
			}
		case WakeAt:
			continue
		default:
			_ = c
		}
		d.got = append(d.got, c)
	}
}

// wait lets time pass.
func (d *driver) wait(after time.Duration) {
	d.t.Helper()
	d.now += after
	d.do(Tick{})
}

// take returns the commands since it was called last.
func (d *driver) take() []Command {
	got := d.got
	d.got = nil
	return got
}

// one takes the commands: there must be a single one, and of this type.
func one[T Command](d *driver) T {
	d.t.Helper()
	got := d.take()
	c, ok := any(nil), false
	if len(got) == 1 {
		c, ok = got[0].(T)
	}
	if !ok {
		var want T
		d.t.Fatalf("commands %+v, want one %T", got, want)
	}
	return c.(T)
}

// none checks that there was no command.
func (d *driver) none() {
	d.t.Helper()
	if got := d.take(); len(got) != 0 {
		d.t.Fatalf("commands %+v, want none", got)
	}
}

// empty checks that nothing is in memory.
func (d *driver) empty() {
	d.t.Helper()
	if held := d.m.Held(); held != (Held{}) || len(d.m.pending) != 0 || len(d.m.open) != 0 || len(d.m.keys) != 0 {
		d.t.Fatalf("still holds %+v, %d pending, %d open, %d keys", held, len(d.m.pending), len(d.m.open), len(d.m.keys))
	}
}

func id(n int) relay.ID { return relay.ID{15: byte(n)} }

func subscriber(name string) *relay.Subscriber {
	return &relay.Subscriber{Name: name, Target: relay.Target{Kind: relay.TargetHTTP, Raw: "http://" + name}}
}

// shows is a snapshot in which all transactions below an id have ended.
func shows(xid uint64) relay.Snapshot { return relay.Snapshot{Xmin: xid, Xmax: xid, Durable: true} }

func report(n int, key string) Report {
	return Report{ID: id(n), Key: key, Seq: int64(n), XID: uint32(100 + n)}
}

// pendingRow is a pending row for subscribers.
func pendingRow(n int, key string, subscribers ...*relay.Subscriber) Row {
	m := &relay.Message{ID: id(n), Seq: int64(n), Key: key}
	r := Row{Message: m, Size: 10, XID: uint32(100 + n)}
	for _, s := range subscribers {
		r.Deliveries = append(r.Deliveries, &relay.Delivery{Message: m, Subscriber: s, Attempt: 1})
	}
	return r
}

// openRow is a delivery of an open message.
func openRow(n int, key string, s *relay.Subscriber, open retry.Open) Row {
	r := pendingRow(n, key, s)
	r.Deliveries[0].Attempt = open.Attempts + 1
	r.Open = &open
	return r
}

func pendingID(n int) relay.DeliveryID { return relay.DeliveryID{Message: id(n)} }

func openID(n int, s *relay.Subscriber) relay.DeliveryID {
	return relay.DeliveryID{Message: id(n), Subscription: s.Name}
}

// answered is the outcome of a send.
func answered(c Send, o relay.Outcome) AttemptEnded {
	return AttemptEnded{Entry: c.Entry, Subscription: c.Delivery.Subscriber.Name, Instance: c.Delivery.Instance, Outcome: o}
}

func accepted() relay.Outcome {
	return relay.Outcome{Class: relay.ClassDelivered, Started: time.Unix(1, 0)}
}

func failed(c relay.Class) relay.Outcome {
	return relay.Outcome{Class: c, Error: "no", Started: time.Unix(1, 0)}
}

func parkedAs(r relay.Reason) relay.Outcome {
	return relay.Outcome{Class: relay.ClassParked, Reason: r}
}

// plain has a message without a key read, and returns the first attempt for each subscriber.
func (d *driver) plain(n int, subscribers ...*relay.Subscriber) (sends []Send) {
	d.t.Helper()
	d.do(Reported{Rows: []Report{report(n, "")}})
	c := one[ReadRow](d)
	d.do(RowRead{Entry: c.Entry, Snapshot: shows(1000), Verdict: Readable, Row: pendingRow(n, "", subscribers...)})
	for _, c := range d.take() {
		sends = append(sends, c.(Send))
	}
	return sends
}

// keyed has the pending messages of a key read that was reported.
func (d *driver) keyed(key string, rows ...Row) {
	d.t.Helper()
	var reports []Report
	for _, r := range rows {
		reports = append(reports, report(int(r.Message.Seq), key))
	}
	d.do(Reported{Rows: reports})
	c := one[ReadKey](d)
	d.do(KeyRead{Key: c.Key, Snapshot: shows(1000), Rows: rows})
}

// left is how many rows were left to the table.
func left(d *driver) int {
	n, _ := d.m.Counts()
	return n
}
