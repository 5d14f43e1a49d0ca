package test

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// maxRelays is how many relays there are at most.
const maxRelays = 3

var errNoSuch = errors.New("there is none that it could befall")

func relayFaults() []fault {
	const s = time.Second
	return []fault{
		{"kill a relay", "relays", 0, 2 * s, true, (*chaos).killRelay},
		{"stop a relay and start it again", "relays", 0, 2 * s, false, (*chaos).restartRelay},
		{"freeze a relay for longer than its lease", "relays", 4 * s, 6 * s, true, (*chaos).freezeRelay},
		{"add a relay", "relays", 0, 0, false, (*chaos).addRelay},
		{"remove a relay", "relays", 0, 0, false, (*chaos).removeRelay},
	}
}

// launchRelay starts a relay in a free place.
func (c *chaos) launchRelay() {
	p := launch(c.t, c.db, c.env...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.relays = append(c.relays, p)
}

// running returns the relays, and starts those again that ended by themselves, which none
// ever should.
func (c *chaos) running() []*process {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range c.relays {
		select {
		case <-p.ended:
			c.t.Errorf("a relay ended by itself: %v", p.err)
			c.relays[i] = launch(c.t, c.db, c.env...)
		default:
		}
	}
	return c.relays
}

// takeRelay picks a relay and takes it out of those that are to run.
func (c *chaos) takeRelay(pick int) *process {
	all := c.running()
	c.mu.Lock()
	defer c.mu.Unlock()
	i := pick % len(all)
	p := all[i]
	c.relays = append(append([]*process(nil), all[:i]...), all[i+1:]...)
	return p
}

func (c *chaos) killRelay(pick int) (func() error, error) {
	c.takeRelay(pick).kill()
	return func() error { c.launchRelay(); return nil }, nil
}

func (c *chaos) restartRelay(pick int) (func() error, error) {
	err := c.stopRelay(pick)
	return func() error { c.launchRelay(); return nil }, err
}

// stopRelay sends SIGTERM and waits for the end. That the last outcomes could not be
// written, because the database was away, is no failure.
func (c *chaos) stopRelay(pick int) error {
	p := c.takeRelay(pick)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	const limit = 45 * time.Second
	select {
	case <-p.ended:
		if p.err != nil {
			c.logf("the relay stopped with %v", p.err)
		}
	case <-time.After(limit):
		c.t.Errorf("a relay did not end within %s of SIGTERM", limit)
		p.kill()
	}
	return nil
}

func (c *chaos) freezeRelay(pick int) (func() error, error) {
	all := c.running()
	p := all[pick%len(all)]
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("freeze a relay: %w", err)
	}
	return func() error { return p.cmd.Process.Signal(syscall.SIGCONT) }, nil
}

func (c *chaos) addRelay(int) (func() error, error) {
	if len(c.running()) == maxRelays {
		return nil, errNoSuch
	}
	c.launchRelay()
	return nil, nil
}

func (c *chaos) removeRelay(pick int) (func() error, error) {
	if len(c.running()) == 1 {
		return nil, errNoSuch
	}
	return nil, c.stopRelay(pick)
}
