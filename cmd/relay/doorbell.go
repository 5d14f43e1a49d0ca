package main

import (
	"context"
	"time"

	"relay/cdc"
	"relay/reconcile"
)

// handOverEvery is how often a relay looks whether the slot has become, or has ceased to
// be, its own.
const handOverEvery = 250 * time.Millisecond

// sharedStream is the doorbell of relays that share a database. One of them, decided by
// the leases, holds the slot and rings the others; the others listen to it.
type sharedStream struct {
	engine   *reconcile.Engine
	stream   *cdc.Stream
	listener *cdc.Listener
}

// Run streams while this relay holds the slot and listens while another one does, until
// ctx ends.
func (s *sharedStream) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		holds := s.engine.HoldsSlot()
		run := s.listener.Run
		if holds {
			run = s.stream.Run
		}
		if err := s.during(ctx, holds, run); err != nil {
			return err
		}
	}
	return nil
}

// during runs one of the doorbells as long as holding the slot is as it was.
func (s *sharedStream) during(ctx context.Context, holds bool, run func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	tick := time.NewTicker(handOverEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			if s.engine.HoldsSlot() != holds {
				cancel()
			}
		}
	}
}

// State is the stream's where this relay holds the slot. Elsewhere it is that of
// listening, as long as the holder hears the stream.
func (s *sharedStream) State() cdc.State {
	if s.engine.HoldsSlot() {
		return s.stream.State()
	}
	state := s.listener.State()
	if state.Streaming && !s.engine.Status().Streaming {
		state.Streaming, state.Why = false, "the relay that holds the slot has no stream at present"
	}
	return state
}
