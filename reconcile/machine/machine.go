package machine

import (
	"math/rand/v2"
	"time"

	"relay"
	"relay/retry"
)

const (
	// staleAfter is how old what was read may be when it is handed on; older rows are read
	// again, since they may have been cancelled meanwhile. What was handed on has as long again.
	staleAfter = time.Second
	// splitAfter is how long a message with several deliveries waits for all of them before it
	// is taken up with what is known.
	splitAfter = 250 * time.Millisecond
	// sweepAfter is how long after rows were left to the table a sweep looks for them.
	sweepAfter = 500 * time.Millisecond
	// dueGap keeps two searches apart, so that what is due together is found together.
	dueGap = 5 * time.Millisecond
	// dueEvery is how often due times are searched when none is known.
	dueEvery = time.Second
	// wholeEvery is how often the sweeps of the schedule look at keys with waiting
	// deliveries alone. Each of them is woken otherwise, unless a session changes the table by hand.
	wholeEvery = time.Minute
)

// Config is what a machine decides by.
type Config struct {
	Policy retry.Policy
	// Entries and Bytes bound what is in memory: deliveries and rows not yet routed, and the
	// bytes of rows. Both must be positive.
	Entries int
	Bytes   int64
	// ReadAhead is how many pending messages of one key are read at once at first, MostAhead
	// how many of a key that moves fast.
	ReadAhead, MostAhead int
	// Batch is the most rows that one statement finds of what is due.
	Batch int
	// Sweeps are the most rows that one statement of a sweep finds, for each group of shards.
	Sweeps []int
	// Seed determines by how much the intervals between attempts are spread.
	Seed uint64
}

// Machine decides everything about the messages of a group of shards. It is not safe for
// concurrent use: one goroutine at a time has it.
type Machine struct {
	config       Config
	now          time.Duration
	out          []Command
	pending      map[relay.ID]*entry
	open         map[relay.DeliveryID]*entry
	keys         map[string]*key
	unread       []reader // entries and keys that are to be read as soon as that is allowed
	keysReading  int
	entries      entries
	reports      reports
	leases       leases
	budget       budget
	destinations destinations
	subscribers  map[string]*relay.Subscriber
	sweeps       sweeps
	fanout       fanout
	due          dues
	timers       timers
	wakeAt       time.Duration // as last asked for
	// gap counts how often reports may have been lost. Their transactions are among those below
	// horizon, the Xmax of the first snapshot since; zero: there was none yet.
	gap     int
	horizon uint64
	// failing says that outcomes cannot be written: nothing is sent whose outcome would be lost.
	failing     bool
	writes      int // entries that are being written
	unwritable  unwritable
	leftToTable int // rows that were left to the table for want of room
	swept       int // rows that sweeps found
	stopping    bool
	random      *rand.Rand
}

// reader is an entry or a key.
type reader interface {
	read()                   // asks for what is to be read of it
	onTime(at time.Duration) // acts on a time that has come
}

// entries are what is in memory of rows: the machine's own maps.
type entries struct{ *Machine }

// reports are what the machine hears of rows.
type reports struct{ *Machine }

// New returns a machine that owns no shard yet.
func New(config Config) *Machine {
	m := &Machine{
		config: config, wakeAt: -1,
		pending: make(map[relay.ID]*entry), open: make(map[relay.DeliveryID]*entry), keys: make(map[string]*key),
		budget: budget{maxEntries: config.Entries, maxBytes: config.Bytes},
		random: rand.New(rand.NewPCG(config.Seed, 0)),
	}
	m.leases.m, m.due.m, m.sweeps.m, m.entries.Machine, m.reports.Machine = m, m, m, m, m
	m.unwritable = unwritable{m: m, blocked: make(map[string]bool)}
	m.fanout = fanout{m: m, keys: make(map[string]int16)}
	for group, limit := range config.Sweeps {
		m.sweeps.groups = append(m.sweeps.groups, &sweep{m: m, group: group, limit: limit})
	}
	m.sweeps.alarm.m, m.due.alarm.m = m, m
	m.destinations = destinations{m: m, byName: make(map[string]*destination), ask: alarm{m: m}, list: alarm{m: m}}
	return m
}

// Step takes one event and returns what is to be done. now is the relay's monotonic clock,
// counted from any moment. The commands are valid until the next Step; the machine keeps the
// event's slices and pointers.
func (m *Machine) Step(now time.Duration, e Event) []Command {
	m.now = max(m.now, now)
	clear(m.out)
	m.out = m.out[:0]
	e.apply(m)
	m.fireTimers()
	m.unwritable.updateAll()
	m.requestReads()
	if len(m.timers) > 0 && m.timers[0].at != m.wakeAt {
		m.wakeAt = m.timers[0].at
		m.do(WakeAt{At: m.wakeAt})
	}
	return m.out
}

// Held is how much a machine holds.
type Held struct {
	Entries int
	Bytes   int64
	Writes  int // entries whose outcomes are being written
	// FannedOut is how many messages with many deliveries, or keys of such, wait for those before them.
	FannedOut int
}

// Held returns what is in memory at present.
func (m *Machine) Held() Held {
	return Held{Entries: m.budget.entries, Bytes: m.budget.bytes, Writes: m.writes, FannedOut: m.fanout.count()}
}

// Failing reports whether outcomes cannot be written at all, so that nothing is read or sent.
func (m *Machine) Failing() bool { return m.failing }

// Counts returns how many rows were left to the table so far for want of room, and how many without a key sweeps found
// that were not known.
func (m *Machine) Counts() (left, swept int) { return m.leftToTable, m.swept }

// sweepLater notes that a row was left to the table for want of room: a sweep looks for it soon.
func (m *Machine) sweepLater(e extent) {
	m.leftToTable++
	m.sweeps.left++
	m.sweeps.later(e)
}

func (m *Machine) do(c Command) { m.out = append(m.out, c) }

// fireTimers acts on the times that have come.
func (m *Machine) fireTimers() {
	for {
		t, due := m.timers.popDue(m.now)
		if !due {
			return
		}
		if t.of != nil {
			t.of.onTime(t.at)
		}
	}
}

// requestReads asks for everything that is to be read, as far as that is allowed.
func (m *Machine) requestReads() {
	if m.stopping || m.failing || m.now >= m.leases.until {
		return
	}
	m.fanout.readWaiting()
	unread := m.unread
	m.unread = nil
	for _, r := range unread {
		r.read()
	}
	m.destinations.askRoom()
	m.sweeps.next()
	m.due.find()
}

func (Tick) apply(*Machine) {}

func (Stop) apply(m *Machine) {
	m.stopping = true
	for shard := range m.leases.shards {
		m.leases.each(int16(shard), func(e *entry) {
			if e.state == writing {
				e.retryBy(m.now + whenStopping)
			}
		})
		m.leases.abandon(int16(shard))
	}
}

// apply notes the settings, under which what waits may go now.
func (s Subscribed) apply(m *Machine) {
	m.subscribers = s.Subscribers
	m.sweeps.begin(everything)
	m.destinations.listAgain()
	m.destinations.askSoon() // one may have been paused
}

// subscriber returns the present settings of a subscription, or those that a delivery was
// routed with.
func (m *Machine) subscriber(name string, routed *relay.Delivery) *relay.Subscriber {
	if s := m.subscribers[name]; s != nil {
		return s
	}
	if routed != nil {
		return routed.Subscriber
	}
	return &relay.Subscriber{Name: name}
}
