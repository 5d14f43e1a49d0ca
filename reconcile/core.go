package reconcile

import (
	"sync"
	"sync/atomic"

	"relay"
	"relay/sql"
)

// core is what the parts of the engine share. Each part has what it shares at hand, and finds the other parts there.
type core struct {
	config    Config
	id        relay.ID
	registry  *registry
	writer    *writer
	due       *alarm
	backlog   *backlog
	crowd     *crowd
	lease     atomic.Pointer[ownership]
	watch     sql.Watch // of the other relays; keepLeases alone uses it
	stopping  atomic.Bool
	others    *forwarder
	hints     *hints
	order     *order
	retaining sync.Mutex // while lines are retained and the table is asked about them
	keyring   *keyring
	waker     *waker
	acked     chan struct{}   // a consumer has acknowledged something here
	loading   sync.Mutex      // while subscriptions are loaded
	looked    int64           // the version of the subscriptions that waiting messages were looked at with
	unrouted  atomic.Bool     // what was rejected for want of a route is to be looked at again
	sweepNow  []chan struct{} // one for each group
	// gathering is held by the reader that waits for a batch.
	gathering chan struct{}
	// sweepSoon says that a sweep of all groups is due shortly.
	sweepSoon atomic.Bool
	hidden    *hidden
	trouble   troubles
	// What cannot be read, changed or removed, each row alone.
	quarantine quarantine
	tellings   chan sql.Telling // to be written into rows in quarantine
	orphans    *orphans
	pulse      *pulse

	// The parts of the engine.
	rows     rowReader
	careful  carefulReader
	keys     keyReader
	fanout   fanoutReader
	dues     dueReader
	parked   parkedReader
	heads    headFinder
	starter  starter
	sweeper  sweeper
	acks     ackTaker
	loader   subscriptionLoader
	leases   leaseKeeper
	ringer   ringer
	hinted   hintReader
	isolator isolator
	jobs     jobRunner
	cleaner  cleaner
}

// wire gives each part what it shares with the others.
func (c *core) wire() {
	c.rows.core = c
	c.careful.core = c
	c.keys.core = c
	c.fanout.core = c
	c.dues.core = c
	c.parked.core = c
	c.heads.core = c
	c.starter.core = c
	c.sweeper.core = c
	c.acks.core = c
	c.loader.core = c
	c.leases.core = c
	c.ringer.core = c
	c.hinted.core = c
	c.isolator.core = c
	c.jobs.core = c
	c.cleaner.core = c
}

// rowReader reads pending messages without a key, and deliveries of open ones, by their ids (read.go).
type rowReader struct{ *core }

// carefulReader reads rows in halves where one of them cannot be read, and tells what is gone (read_alone.go, hidden.go).
type carefulReader struct{ *core }

// keyReader reads the messages of keys, in their order (keys.go).
type keyReader struct{ *core }

// fanoutReader reads messages with many deliveries (fanout.go).
type fanoutReader struct{ *core }

// dueReader finds what is due (due.go).
type dueReader struct{ *core }

// parkedReader reads what waits for its destination as that has room (refill.go, crowd.go).
type parkedReader struct{ *core }

// headFinder finds the heads of keys that may go, in the table (wake.go).
type headFinder struct{ *core }

// starter begins the deliveries of what was read (task.go).
type starter struct{ *core }

// sweeper finds what was left to the table (sweep.go).
type sweeper struct{ *core }

// ackTaker takes what consumers say, and applies it (ack.go).
type ackTaker struct{ *core }

// subscriptionLoader keeps the subscriptions up to date (subscriptions.go).
type subscriptionLoader struct{ *core }

// leaseKeeper renews leases and gives shards up (lease.go).
type leaseKeeper struct{ *core }

// ringer takes what the doorbell shows, and rings other relays (forward.go).
type ringer struct{ *core }

// hintReader looks at ids that arrived by NOTIFY (hints.go).
type hintReader struct{ *core }

// isolator keeps rows that cannot be read, changed or removed apart from the others (quarantine.go, orphans.go).
type isolator struct{ *core }

// jobRunner does what people asked for by filter (jobs.go).
type jobRunner struct{ *core }

// cleaner removes and gives up what is old (tidy.go).
type cleaner struct{ *core }
