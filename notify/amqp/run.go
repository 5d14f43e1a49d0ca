package amqp

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"relay/wait"
)

// These are the pauses between attempts to connect.
const (
	minReconnectPause = 100 * time.Millisecond
	maxReconnectPause = 5 * time.Second
	// steadyConnection is how long a connection must have lasted for the pauses to
	// begin again from the smallest.
	steadyConnection = 10 * time.Second
)

// Run keeps the connections to the broker until ctx ends: one that publishes, and one that takes
// replies as soon as a subscription wants them. It tries for ever where one cannot be had: the library's own
// recovery gives up after five attempts. It returns nil when everything is closed;
// deliveries still waiting for a confirm then end as unknown.
func (a *Destination) Run(ctx context.Context) error {
	defer a.set(nil, "the relay has stopped")
	var replies sync.WaitGroup
	defer replies.Wait()
	if a.cfg.Replies.Queue != "" {
		replies.Go(func() { a.runReplies(ctx) })
	}
	report := report{log: a.cfg.Log, up: "connected to the broker", down: "no connection to the broker; trying again"}
	keepConnected(ctx, func() (lasted time.Duration) {
		c, err := a.connect(ctx, "relay")
		if err == nil {
			connected := time.Now()
			report.connected()
			err = a.attend(ctx, c)
			lasted = time.Since(connected)
		}
		if ctx.Err() == nil {
			a.lost(err)
			report.failed(errorText(err))
		}
		return lasted
	})
	return nil
}

// keepConnected calls connect until ctx ends. connect returns when its connection has ended, with how long it
// lasted.
func keepConnected(ctx context.Context, connect func() time.Duration) {
	for failures := 0; ; failures++ {
		if connect() > steadyConnection {
			failures = 0
		}
		if ctx.Err() != nil || !wait.For(ctx, reconnectPause(failures)) {
			return
		}
	}
}

// attend hands the connection to the deliveries and follows its state until it is lost or
// ctx ends; it returns when the connection and its goroutines are gone.
func (a *Destination) attend(ctx context.Context, c *connection) error {
	defer c.close()
	a.set(c, "")
	a.cfg.OnUp()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-c.closes:
			if err == nil {
				return errGone
			}
			return err
		case b, open := <-c.blocks:
			if !open {
				c.blocks = nil // the error follows on c.closes
				continue
			}
			c.setBlocked(b.Active, b.Reason)
			if b.Active {
				a.cfg.Log.Warn("the broker has blocked publishers", "reason", b.Reason)
				continue
			}
			a.cfg.Log.Info("the broker takes messages again")
			a.cfg.OnUp()
		}
	}
}

// reconnectPause doubles with each failure up to its limit; half of it is jitter, so that
// many relays do not fall upon a broker that has just come back.
func reconnectPause(failures int) time.Duration {
	d := min(minReconnectPause<<min(failures, 10), maxReconnectPause)
	return d/2 + rand.N(d/2)
}

// report logs changes of the connection: the same failure again is counted, not printed.
type report struct {
	log      *slog.Logger
	up, down string // what is logged of either
	text     string // the failure that was logged last
	count    int    // failures since the last connection
}

func (r *report) connected() {
	r.log.Info(r.up, "failures", r.count)
	r.text, r.count = "", 0
}

func (r *report) failed(text string) {
	r.count++
	if text == r.text {
		return
	}
	r.text = text
	r.log.Warn(r.down, "error", text, "failures", r.count)
}
