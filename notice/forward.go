package notice

import (
	"context"
	"slices"
	"sync"
	"time"

	"relay"
	"relay/sql"
	"relay/trouble"
	"relay/wait"
)

const (
	// forwardMost is how many rows wait to be told to other relays; more of them become a
	// request to sweep.
	forwardMost = 10_000
	// forwardGather is how long ids wait for company before the others are told.
	forwardGather = time.Millisecond
	// forwardAgain is when it is tried again to tell the others.
	forwardAgain = time.Second
	// hiddenMost is the longest time after which a row is looked for again that SQL does not
	// show yet.
	hiddenMost = time.Second
)

// Forwarder collects the ids of rows that the stream showed here and that other relays own.
// They are told of a row when SQL shows it, since they look at it once: they cannot know
// whether it was a relay that told them.
type Forwarder struct {
	config ForwarderConfig
	ready  chan struct{}

	mu   sync.Mutex
	rows []foreign
	many bool // more than fit, or it is not known which: the others sweep
}

// foreign is a row that another relay owns.
type foreign struct {
	id    relay.ID
	xid   uint32
	looks int // in vain
}

// ForwarderConfig is what a forwarder needs. All of it is required.
type ForwarderConfig struct {
	Store   *sql.Store
	Trouble *trouble.Log
}

// NewForwarder returns a forwarder that tells nothing before Run.
func NewForwarder(config ForwarderConfig) *Forwarder {
	return &Forwarder{config: config, ready: make(chan struct{}, 1)}
}

// Add has the other relays told of rows, soon. It returns at once.
func (f *Forwarder) Add(rings ...relay.Ring) {
	rows := make([]foreign, len(rings))
	for i, ring := range rings {
		rows[i] = foreign{id: ring.ID, xid: ring.Xid}
	}
	f.add(rows)
}

func (f *Forwarder) add(rows []foreign) {
	f.mu.Lock()
	if len(f.rows)+len(rows) > forwardMost {
		f.rows, f.many = nil, true
	} else {
		f.rows = append(f.rows, rows...)
	}
	f.mu.Unlock()
	wait.Signal(f.ready)
}

// Missed has the others sweep, soon. It returns at once.
func (f *Forwarder) Missed() {
	f.mu.Lock()
	f.many = true
	f.mu.Unlock()
	wait.Signal(f.ready)
}

func (f *Forwarder) take() (rows []foreign, many bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rows, many = f.rows, f.many
	f.rows, f.many = nil, false
	return rows, many
}

// tell passes on what has been collected: by ring, which takes rows and returns those that SQL does
// not show yet, or takes none for a request to sweep. After an error the others are asked to sweep
// the next time.
func (f *Forwarder) tell(ring func(rows []foreign) (hidden []foreign, err error)) error {
	rows, many := f.take()
	var hidden []foreign
	var err error
	if len(rows) > 0 {
		hidden, err = ring(rows)
	}
	if many && err == nil {
		_, err = ring(nil)
	}
	if err != nil {
		f.Missed()
		return err
	}
	f.later(hidden)
	return nil
}

// later has rows looked for again, after the shortest time that one of them is to wait.
func (f *Forwarder) later(hidden []foreign) {
	if len(hidden) == 0 {
		return
	}
	wait := hiddenMost
	for i := range hidden {
		wait = min(wait, 2*time.Millisecond<<min(hidden[i].looks, 10))
		hidden[i].looks++
	}
	time.AfterFunc(wait, func() { f.add(hidden) })
}

// Run rings the other relays for what was added, until ctx ends. It returns no error: what fails is tried again.
func (f *Forwarder) Run(ctx context.Context) error {
	for wait.Ready(ctx, f.ready, forwardGather) {
		err := f.tell(func(rows []foreign) ([]foreign, error) { return f.ring(ctx, rows) })
		f.config.Trouble.NoteDuring(ctx, "ring the other relays", err)
		if err != nil && !wait.For(ctx, forwardAgain) {
			return nil
		}
	}
	return nil
}

// ring tells the other relays of rows, and returns those that SQL does not show yet. Rows
// that are gone are forgotten.
func (f *Forwarder) ring(ctx context.Context, rows []foreign) (hidden []foreign, err error) {
	told, err := f.config.Store.RingOthers(ctx, foreignIDs(rows))
	if err != nil || len(told) == len(rows) {
		return nil, err
	}
	seen := make(map[relay.ID]bool, len(told))
	for _, id := range told {
		seen[id] = true
	}
	hidden = slices.DeleteFunc(rows, func(row foreign) bool { return seen[row.id] })
	snapshot, present, err := f.config.Store.Present(ctx, foreignIDs(hidden))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(hidden, func(row foreign) bool { return snapshot.Shows(row.xid) && !present[row.id] }), nil
}

func foreignIDs(rows []foreign) []relay.ID {
	ids := make([]relay.ID, len(rows))
	for i := range rows {
		ids[i] = rows[i].id
	}
	return ids
}
