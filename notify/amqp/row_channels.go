package amqp

import (
	"context"
	"errors"
	"relay/notify"
	"sync"
	"time"
)

const (
	// maxRowChannels is how many exchanges and queues that rows name have a channel at the same time.
	maxRowChannels = 256
	// rowChannelPatience is how long a message waits for a channel.
	rowChannelPatience = notify.MaxWait / 2
	// rowChannelsClosing bounds the channels besides that are being closed: the broker does not answer
	// for one that has stopped.
	rowChannelsClosing = 64
)

// errNoRowChannel is why a message waits when too many different queues confirm nothing.
var errNoRowChannel = errors.New("every channel for the exchanges and queues that rows name awaits the broker's confirms")

// rowChannels gives each exchange and each queue that rows name a channel of its own. The one that was
// used longest ago is closed for the next; one on which a confirm is outstanding, last.
type rowChannels struct {
	conn  *connection
	limit int

	mu      sync.Mutex
	open    map[entity]*rowChannel
	closing int
	freed   chan struct{} // not nil: something waits for a channel that can be closed
}

// rowChannel is the channel of one exchange or queue.
type rowChannel struct {
	call  *call[*channel] // guarded by mu, as all of it
	users int             // deliveries that have taken it and not left it
	used  time.Time
}

func newRowChannels(c *connection, limit int) *rowChannels {
	return &rowChannels{conn: c, limit: max(limit, 1), open: make(map[entity]*rowChannel)}
}

// send sends a message over the channel of its target.
func (r *rowChannels) send(ctx context.Context, m *message) result {
	lane, opening, err := r.take(ctx, entityOf(m.target))
	if err != nil {
		return result{verdict: verdictUnsent, err: err}
	}
	defer r.leave(lane)
	channel, err := opening.wait(ctx, r.conn)
	if err != nil {
		return result{verdict: verdictUnsent, err: err}
	}
	return channel.send(ctx, m)
}

// take returns the lane of an exchange or a queue, and the call that opens its channel, which another delivery may
// replace by the next one meanwhile. If all are in use it waits a moment for one that owes no
// confirm, and then takes one that does.
func (r *rowChannels) take(ctx context.Context, entity entity) (*rowChannel, *call[*channel], error) {
	patience, cancel := context.WithTimeout(ctx, rowChannelPatience)
	defer cancel()
	for {
		lane, opening, freed := r.tryTake(entity, patience.Err() != nil)
		switch {
		case lane != nil:
			return lane, opening, nil
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case patience.Err() != nil:
			return nil, nil, errNoRowChannel
		}
		if err := r.conn.await(patience, freed); err != nil && patience.Err() == nil {
			return nil, nil, err
		}
	}
}

// tryTake returns what take returns, or what to wait for. owing says that one that owes a confirm may be closed for it.
func (r *rowChannels) tryTake(entity entity, owing bool) (*rowChannel, *call[*channel], <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lane := r.open[entity]
	if lane == nil {
		if len(r.open) >= r.limit && !r.evict(owing) {
			if r.freed == nil {
				r.freed = make(chan struct{})
			}
			return nil, nil, r.freed
		}
		lane = &rowChannel{}
		r.open[entity] = lane
	}
	if spent(lane.call) {
		lane.call = startCall(r.conn, func() (*channel, error) {
			return r.conn.openChannel(r.conn.window, func() { r.conn.rows.forget(entity) })
		})
	}
	lane.users, lane.used = lane.users+1, time.Now()
	return lane, lane.call, nil
}

// leave ends what take began.
func (r *rowChannels) leave(lane *rowChannel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lane.users, lane.used = lane.users-1, time.Now()
	r.signal()
}

// signal wakes what waits for a channel. The caller holds mu.
func (r *rowChannels) signal() {
	if r.freed != nil {
		close(r.freed)
		r.freed = nil
	}
}

// evict closes the channel that was used longest ago, and reports whether there was one to close. If a
// confirm is outstanding on it, which owing allows, the message may come twice. The caller holds mu.
func (r *rowChannels) evict(owing bool) bool {
	if r.closing >= rowChannelsClosing {
		return false
	}
	var oldest entity
	var found *rowChannel
	for entity, lane := range r.open {
		if lane.users > 0 || !lane.call.over() || !owing && lane.call.err == nil && lane.call.value.outstanding() {
			continue
		}
		if found == nil || lane.used.Before(found.used) {
			oldest, found = entity, lane
		}
	}
	if found == nil {
		return false
	}
	delete(r.open, oldest)
	if found.call.err == nil {
		r.close(found.call.value)
	}
	return true
}

// close closes a channel beside. The caller holds mu.
func (r *rowChannels) close(channel *channel) {
	r.closing++
	r.conn.spawn(func() {
		// Its error is of no use: the channel is closed whatever it says.
		_ = channel.ch.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.closing--
		r.signal()
	})
}
