package reconcile

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"relay"
	"relay/quarantine"
	"relay/reconcile/machine"
	"relay/wait"
)

// lookAtSubscriptions is how often the subscriptions' version is asked for, besides coming
// with every message that is read.
const lookAtSubscriptions = time.Second

// subscriptionLoader keeps the subscriptions up to date.
type subscriptionLoader struct {
	*shared
	loading  sync.Mutex               // while subscriptions are loaded
	looked   int64                    // the version of the subscriptions that waiting messages were looked at with
	unrouted atomic.Bool              // what was rejected for want of a route is to be looked at again
	blocking atomic.Pointer[[]string] // the subscriptions whose dead messages hold their key
}

func newSubscriptionLoader(s *shared) *subscriptionLoader {
	e := &subscriptionLoader{shared: s}
	e.blocking.Store(new([]string))
	return e
}

// watchSubscriptions keeps the router at the subscriptions' version, until ctx ends.
func (e *subscriptionLoader) watchSubscriptions(ctx context.Context) error {
	for {
		err := e.LoadSubscriptions(ctx)
		if ctx.Err() != nil {
			return nil
		}
		e.trouble.Note("read subscriptions", err)
		if !wait.For(ctx, lookAtSubscriptions) {
			return nil
		}
	}
}

// LoadSubscriptions loads the subscriptions if they have changed. What waits for one that
// was paused, or had no route, is looked at again; so is the latter alone if something may
// have been rejected after the last look although it has a route.
func (e *subscriptionLoader) LoadSubscriptions(ctx context.Context) error {
	version, err := e.config.Store.SubscriptionVersion(ctx)
	if err != nil {
		return err
	}
	again := e.unrouted.Swap(false)
	if version == e.looked && !again {
		return nil
	}
	if version != e.looked {
		if err := e.upTo(ctx, version); err != nil {
			return err
		}
	}
	if err := e.reroute(ctx); err != nil {
		e.unrouted.Store(true)
		return err
	}
	e.looked = version
	return nil
}

// upTo loads the subscriptions if a message that was read saw newer ones.
func (e *subscriptionLoader) upTo(ctx context.Context, version int64) error {
	e.loading.Lock()
	defer e.loading.Unlock()
	if version <= e.config.Subscriptions.Version() {
		return nil
	}
	all, version, err := e.config.Store.Subscriptions(ctx)
	if err != nil {
		return err
	}
	e.config.Subscriptions.Replace(version, all)
	names, blocking := make([]string, len(all)), make([]string, 0)
	settings := make(map[string]*relay.Subscriber, len(all))
	for i, s := range all {
		names[i], settings[s.Name] = s.Name, s
		if s.BlockOnDead {
			blocking = append(blocking, s.Name)
		}
	}
	e.blocking.Store(&blocking)
	e.loop.tell(machine.Subscribed{Subscribers: settings})
	e.config.Metrics.pulse.Keep(names)
	for _, s := range all {
		if s.Invalid != "" {
			e.config.Log.Warn("a subscription cannot be served", "subscription", s.Name, "why", s.Invalid)
		}
		e.config.Circuits.Up(s.Name)
		if s.Broadcast {
			e.config.Circuits.UpInstances(s.Name)
		}
	}
	return nil
}

// reroute takes up what was rejected for want of a route and has one now, of the shards that
// this relay owns: the others' owners do so too.
func (e *subscriptionLoader) reroute(ctx context.Context) error {
	topics, err := e.config.Store.UnroutedTopics(ctx, e.config.Router.NoRoute())
	if err != nil {
		return err
	}
	routed := topics[:0]
	for _, topic := range topics {
		if e.config.Router.Routes(topic) > 0 {
			routed = append(routed, topic)
		}
	}
	if len(routed) == 0 {
		return nil
	}
	n, err := e.config.Store.Reroute(ctx, e.leases.Now().Shards, e.config.Router.NoRoute(), routed, func(ids []relay.ID, change func([]relay.ID) error) error {
		_, err := e.quarantine.EachAlone(ctx, quarantine.TakeUpAgain, ids, change)
		return err
	})
	if err == nil && n > 0 {
		e.config.Log.Info("messages that were rejected for want of a route are taken up", "messages", n)
		e.loop.sweepAll()
	}
	return err
}
