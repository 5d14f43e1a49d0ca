// Package demo shows the relay at work, on servers of its own that leave nothing behind:
// a shop commits orders with their messages, the relay delivers them to a receiver that
// sometimes fails and to RabbitMQ, and a tally holds what arrived against what was
// committed. It runs the same commands that a person would.
package demo

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"relay/throwaway"
)

// How long the end of a demo waits for messages that are on their way.
const (
	drainLimit     = 30 * time.Second
	interruptLimit = 3 * time.Second
)

// Command runs one relay command, such as "run", with nothing in its environment but env,
// until it has ended or ctx does. Its log goes to log.
type Command func(ctx context.Context, env map[string]string, log io.Writer, args ...string) error

// Config says what to show.
type Config struct {
	// Rate is how many orders the shop places per second; at least 1.
	Rate int
	// For is how long the shop is open. Zero means until the context ends.
	For time.Duration
	// NoRabbit leaves RabbitMQ out even if it is installed.
	NoRabbit bool
	// Relay runs the relay's commands.
	Relay Command
	// Out takes the display, which is redrawn in place if this is a terminal.
	Out io.Writer
	// Done is told what came of it at the end. Nil means that only the display is told.
	Done func(Report)
}

// demo is one demonstration under way.
type demo struct {
	cfg      Config
	screen   *screen
	tally    *tally
	servers  *servers
	receiver *receiver
	consumer *consumer // nil: without RabbitMQ
	metrics  string    // address of the relay's metrics
	console  string    // address of its console
	token    string    // RELAY_ADMIN_TOKEN
	opened   time.Time // when the shop was; zero: not yet
	ended    atomic.Pointer[[routes]int]
}

// Run shows the relay at work until cfg.For has passed or ctx ends, prints a summary and
// removes all that it made. It fails if something did not start or broke, if a rolled back
// message was delivered, or if, with cfg.For, a committed one was lost.
func Run(ctx context.Context, cfg Config) (err error) {
	d := &demo{cfg: cfg, screen: newScreen(cfg.Out), tally: newTally(), servers: &servers{}}
	defer func() { err = errors.Join(err, d.servers.remove()) }()
	defer d.screen.release("") // of a demo that did not start
	if err := d.prepare(ctx); err != nil {
		return cmp.Or(ctx.Err(), err) // what failed because ctx ended is no failure
	}
	interrupted, err := d.run(ctx)
	if d.opened.IsZero() {
		return err
	}
	d.screen.finish(d.table())
	return errors.Join(err, d.judge(context.WithoutCancel(ctx), interrupted))
}

// prepare starts the servers and makes what the relay and the shop need.
func (d *demo) prepare(ctx context.Context) (err error) {
	if err := d.servers.start(ctx, d.cfg.NoRabbit, d.screen); err != nil {
		return err
	}
	if d.metrics, _, err = throwaway.FreeAddress(); err != nil { // claimed until the demo ends
		return err
	}
	if d.console, _, err = throwaway.FreeAddress(); err != nil {
		return err
	}
	d.token = rand.Text()
	if d.receiver, err = newReceiver(d.tally, d.screen); err != nil {
		return err
	}
	for _, args := range append([][]string{{"migrate"}, {"grant", appRole}}, d.troubles()...) {
		if err := d.cfg.Relay(ctx, d.environment(), d.screen, args...); err != nil {
			return fmt.Errorf("relay %s: %w", args[0], err)
		}
	}
	if d.servers.rabbit != nil {
		d.consumer, err = newConsumer(d.servers.rabbit.URL(""), d.tally, d.screen)
	}
	return err
}

// run keeps shop, relay and display going, and ends them in this order: the shop, what is
// on its way, the relay, receiver and consumer. It reports whether ctx ended it.
func (d *demo) run(ctx context.Context) (interrupted bool, err error) {
	last, stopLast := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLast()
	outer, last := errgroup.WithContext(last)
	outer.Go(func() error { return d.receiver.run(last) })
	if d.consumer != nil {
		outer.Go(func() error { return d.consumer.run(last) })
	}
	relayCtx, stopRelay := context.WithCancel(last)
	defer stopRelay()
	relayed := make(chan error, 1)
	go func() { relayed <- d.relay(relayCtx, stopRelay) }()
	err = d.open(ctx, relayCtx)
	interrupted = ctx.Err() != nil
	stopRelay()
	err = errors.Join(err, <-relayed)
	stopLast()
	return interrupted, errors.Join(err, outer.Wait())
}

// relay runs the relay, and calls ended when it ends for whatever reason.
func (d *demo) relay(ctx context.Context, ended func()) error {
	defer ended()
	err := d.cfg.Relay(ctx, d.environment(), d.screen, "run")
	if err != nil {
		return fmt.Errorf("relay run: %w", err)
	}
	return nil
}

// open waits for the relay, opens the shop, and returns when it is closed and what it sent
// has arrived, or can be waited for no longer.
func (d *demo) open(ctx, relayCtx context.Context) error {
	ready, stopWaiting := whileBoth(ctx, relayCtx)
	defer stopWaiting()
	if err := d.awaitReady(ready); err != nil {
		return err
	}
	link, err := d.signInLink(ready)
	if err != nil {
		return err
	}
	d.screen.open(d.welcome(link))
	shopping, closeShop := whileBoth(ctx, relayCtx)
	defer closeShop()
	if d.cfg.For > 0 {
		shopping, closeShop = context.WithTimeout(shopping, d.cfg.For)
		defer closeShop()
	}
	d.opened = time.Now()
	shown, stopShowing := context.WithCancel(relayCtx)
	var display errgroup.Group
	display.Go(func() error { d.show(shown); return nil })
	display.Go(func() error { return d.trouble(shopping) })
	err = d.shop().run(shopping)
	if err == nil {
		d.drain(ctx, relayCtx)
	}
	stopShowing()
	return errors.Join(err, display.Wait())
}

// whileBoth returns a context that ends with either of two.
func whileBoth(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(a)
	stop := context.AfterFunc(b, cancel)
	return ctx, func() { stop(); cancel() }
}

// drain waits until every committed message has arrived, at most drainLimit, and at most
// interruptLimit once ctx has ended.
func (d *demo) drain(ctx, relayCtx context.Context) {
	limit, cancel := context.WithTimeout(relayCtx, drainLimit)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(interruptLimit):
			cancel()
		case <-limit.Done():
		}
	})()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(d.tally.lost()) > 0 {
		select {
		case <-limit.Done():
			return
		case <-tick.C:
		}
	}
}
