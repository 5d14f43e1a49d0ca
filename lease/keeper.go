// Package lease keeps the leases of a relay: on each of the 64 shards one relay of a database works at a time. The
// keeper takes what is free, renews what it has, and gives up what exceeds the relay's even share as soon as nothing of
// it is under way. A lease that is not renewed ends; its epoch, which every write of an outcome checks, fences a relay
// that was frozen meanwhile (sql.Lease).
package lease

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"relay"
	"relay/crash"
	"relay/sql"
	"relay/trouble"
	"relay/wait"
)

const (
	// renewShared is how often leases are renewed while there are several relays, so that
	// what one gives up, or leaves behind, is taken soon.
	renewShared = time.Second
	// drainEvery is how often shards that are given up are looked at.
	drainEvery = 20 * time.Millisecond
	// releaseLimit bounds the time that Release takes.
	releaseLimit = 5 * time.Second
)

// worker works on the messages of the shards.
type worker interface {
	// Stuck reports which shards have something under way that cannot end at present.
	Stuck(ctx context.Context) [relay.Shards]bool
	// Busy reports which of these shards have something under way. False: ctx ended before the answer.
	Busy(ctx context.Context, shards []int16) (busy [relay.Shards]bool, answered bool)
	// Owns tells what this relay owns from now on, what it owned before, and how many shards it has gained.
	Owns(now, was *Ownership, gained int)
}

// Config is what a keeper needs. All of it is required.
type Config struct {
	Store *sql.Store
	// ID names the relay among those of its database, Name and Version tell people which one it is.
	ID            relay.ID
	Name, Version string
	// TTL is how long a lease lasts without being renewed.
	TTL time.Duration
	// Streaming reports whether this relay hears the stream itself, which the others are told.
	Streaming func() bool
	Worker    worker
	Trouble   *trouble.Log
	Log       *slog.Logger
	Metrics   *Metrics
}

// Keeper keeps the leases of one relay.
type Keeper struct {
	config   Config
	now      atomic.Pointer[Ownership]
	watch    sql.Watch   // of the other relays; Run alone uses it
	stopping atomic.Bool // the relay has no share
}

// New returns a keeper that owns nothing before Run.
func New(config Config) *Keeper {
	k := &Keeper{config: config}
	k.now.Store(&Ownership{Lease: sql.Lease{Owner: config.ID}})
	return k
}

// Now returns what this relay owns. It may be called at any time.
func (k *Keeper) Now() *Ownership { return k.now.Load() }

// Stop ends the relay's share: from the next renewal on each shard passes to the others as soon as nothing of it is
// under way.
func (k *Keeper) Stop() { k.stopping.Store(true) }

// Run renews what this relay owns, takes what is free and gives up what exceeds its share, until ctx ends. It returns
// no error: what fails is tried again. After its end it may be called once more, to renew the leases while the relay
// stops.
func (k *Keeper) Run(ctx context.Context) error {
	var next time.Time
	for {
		if !time.Now().Before(next) {
			err := k.renew(ctx)
			if ctx.Err() != nil {
				return nil
			}
			k.config.Metrics.renewed(err)
			k.config.Trouble.Note("renew leases", err)
			if own := k.Now(); len(own.Lease.Epochs) == 0 || !own.Lasts() {
				k.config.Metrics.shards.Set(0)
			}
			next = time.Now().Add(k.renewalInterval(err))
		}
		pause := time.Until(next)
		if len(k.Now().Giving) > 0 {
			k.config.Trouble.NoteDuring(ctx, "give up shards", k.giveDrained(ctx))
			pause = min(pause, drainEvery)
		}
		if !wait.For(ctx, pause) {
			return nil
		}
	}
}

// renewalInterval is shorter where something may be free soon: there are other relays, or
// others were there and still hold a part of what is this relay's. A lease that another relay
// does not renew is looked at when it is over.
func (k *Keeper) renewalInterval(err error) time.Duration {
	interval := k.config.TTL / 3
	own := k.Now()
	if err != nil || own.Fleet.Relays > 1 || len(own.Lease.Epochs) < sql.Share(max(1, own.Fleet.Relays)) {
		interval = min(interval, renewShared)
	}
	if over, some := k.watch.Until(k.config.TTL); some {
		interval = min(interval, max(over, drainEvery))
	}
	return interval
}

// renew renews the leases, and tells what is owned then.
func (k *Keeper) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.config.TTL/2)
	defer cancel()
	me := sql.Instance{ID: k.config.ID, Name: k.config.Name, Version: k.config.Version, Streaming: k.config.Streaming()}
	asked, stays := time.Now(), !k.stopping.Load()
	lease, fleet, err := k.config.Store.Renew(ctx, me, k.config.TTL, stays, &k.watch)
	if err != nil {
		return err
	}
	crash.At(crash.LeaseRenewed)
	share := 0
	if stays {
		share = sql.Share(fleet.Relays)
	}
	was, held := k.Now(), k.config.Worker.Stuck(ctx)
	own := newOwnership(lease, share, was, func(shard int16, since time.Time) bool {
		return stays && held[shard] && time.Since(since) > k.config.TTL
	})
	own.Fleet, own.Until = fleet, asked.Add(k.config.TTL)
	gained := own.gained(was)
	k.now.Store(own)
	k.config.Worker.Owns(own, was, gained)
	k.config.Metrics.shards.Set(float64(len(own.Shards)))
	k.config.Metrics.relays.Set(float64(fleet.Relays))
	if stays && (gained > 0 || len(own.Shards) != len(was.Shards)) {
		k.config.Log.Info("owns shards", "shards", len(own.Shards), "gained", gained, "relays", fleet.Relays)
	}
	return nil
}

// giveDrained releases the shards that are being given up and have nothing under way. The
// ownership of before has stopped new work; what had begun is written before it goes.
func (k *Keeper) giveDrained(ctx context.Context) error {
	own := k.Now()
	busy, answered := k.config.Worker.Busy(ctx, own.Giving)
	if !answered {
		return nil
	}
	var drained []int16
	for _, shard := range own.Giving {
		if !busy[shard] {
			drained = append(drained, shard)
		}
	}
	if len(drained) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, k.config.TTL/2)
	defer cancel()
	if err := k.config.Store.GiveUp(ctx, k.config.ID, drained); err != nil {
		return err
	}
	k.now.Store(own.without(drained))
	return nil
}

// Release gives up the leases, within five seconds. A relay calls it after the end of Run. An error says that they last
// until they are over.
func (k *Keeper) Release() error {
	ctx, cancel := context.WithTimeout(context.Background(), releaseLimit)
	defer cancel()
	return k.config.Store.Release(ctx, k.config.ID)
}
