package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"relay"
	"relay/admin"
	"relay/cdc"
	"relay/notify"
	"relay/operate"
	"relay/reconcile"
	"relay/retry"
	"relay/sql"
	"relay/tracing"
)

// doorbell says that rows were committed.
type doorbell interface {
	Run(ctx context.Context) error
	State() cdc.State
}

// service is one running relay: everything that `relay run` wires together.
type service struct {
	config     Config
	settings   map[string]string // the variables as people may see them
	unknown    map[string]string // variables that nothing knows, with the name that may be meant
	id         relay.ID          // of this relay
	log        *slog.Logger
	registry   *prometheus.Registry
	store      *sql.Store
	identity   sql.Identity                  // of the database
	away       atomic.Pointer[error]         // how the last step of the start ended; nil: there was none yet
	copied     atomic.Pointer[sql.CopyError] // set while the relay waits, since the database is a copy
	ackKey     relay.AckKey
	ackQueue   string // of RabbitMQ
	router     *notify.Router
	links      map[string]link // the technologies at work, by name
	dispatcher *notify.Dispatcher
	engine     *reconcile.Engine
	doorbell   doorbell      // nil: RELAY_CAPTURE is poll
	shared     *sharedStream // nil: RELAY_CAPTURE is not stream
	operate    *operate.Service
	tracer     *tracing.Tracer // nil: no spans are exported
	sampler    *sql.Sampler    // counts what stands in the tables
	wired      chan struct{}   // closed when all of the above is built
}

// wire builds everything on a database that is migrated.
func (s *service) wire() error {
	if err := s.wireDestinations(); err != nil {
		return err
	}
	s.wireEngine()
	return s.wireDoorbell()
}

func (s *service) wireDestinations() error {
	c := s.config
	s.links = make(map[string]link)
	var known []notify.Technology
	for _, t := range technologies() {
		described := t.describe(c)
		if described.Missing == nil {
			if err := s.connect(t, &described); err != nil {
				return err
			}
		}
		known = append(known, described)
	}
	registered := notify.Register(known...)
	rows, err := notify.ParseRowTargets(c.RowDestinations, registered)
	if err != nil {
		return fmt.Errorf("RELAY_ROW_DESTINATIONS: %w", err)
	}
	s.router, err = notify.NewRouter(notify.RouterConfig{
		Default: c.DefaultDestination.Raw, Source: c.Source, Technologies: registered, Timeout: c.HTTPTimeout, Rows: rows,
	})
	if err != nil {
		return fmt.Errorf("RELAY_DEFAULT_DESTINATION: %w", err)
	}
	references, err := notify.ParseReferences(c.SubscriptionSecrets)
	if err != nil {
		return fmt.Errorf("RELAY_SUBSCRIPTION_SECRETS: %w", err)
	}
	s.dispatcher = notify.NewDispatcher(notify.DispatcherConfig{
		Technologies: registered, References: references, Timeout: c.HTTPTimeout, QueueBytes: int64(c.InFlightBytes) / 8,
		Messages: int64(c.InFlight), Bytes: int64(c.InFlightBytes),
		Retry: s.interval, Allowed: s.mayAttempt,
		Tracer: s.spans(), Log: s.log, Metrics: notify.NewMetrics(s.registry),
	})
	return nil
}

// connect has a technology make its destination.
func (s *service) connect(t technology, described *notify.Technology) error {
	made, err := t.connect(s)
	if err != nil {
		return err
	}
	described.Destination, described.Gone = uncrowded{made.destination, s}, made.gone
	s.links[described.Name] = made
	return nil
}

// mayAttempt is what destinations ask just before they send: see Engine.MayAttempt.
func (s *service) mayAttempt(shard int16) bool { return s.engine.MayAttempt(shard) }

// uncrowded is a destination to which nothing is sent while the outcomes of what was sent before cannot be written.
type uncrowded struct {
	notify.Destination
	service *service
}

// Deliver implements notify.Destination.
func (u uncrowded) Deliver(ctx context.Context, d *relay.Delivery) relay.Outcome {
	if u.service.engine.Crowded(d.Circuit()) {
		return relay.Outcome{Class: relay.ClassParked}
	}
	return u.Destination.Deliver(ctx, d)
}

func (s *service) policy() retry.Policy {
	return retry.Policy{
		Backoff: s.config.Backoff, MaxAttempts: s.config.MaxAttempts, GiveUpAfter: s.config.GiveUpAfter,
	}
}

// interval is the time until a destination that is down is probed again.
func (s *service) interval(d *relay.Delivery, attempts int) time.Duration {
	return s.policy().Interval(d.Subscriber, attempts, rand.Float64)
}

func (s *service) wireEngine() {
	c := s.config
	host, _ := os.Hostname()
	s.engine = reconcile.New(reconcile.Config{
		Store: s.store, Sampler: s.sampler, Router: s.router, Subscriptions: s.router, Dispatcher: s.dispatcher, Circuits: s.dispatcher, Policy: s.policy(), Gone: s.dispatcher.Gone,
		Groups: c.Reconcile, Streaming: s.streaming, Ringing: s.ringing, InFlight: c.InFlight,
		InFlightBytes: int64(c.InFlightBytes), MaxPayload: int64(c.MaxPayload),
		AckKey: s.ackKey, Retention: c.Retention, LeaseTTL: c.LeaseTTL, Grace: c.ShutdownGrace,
		ID: s.id, Name: host, Version: version(), Log: s.log, Metrics: reconcile.NewMetrics(s.registry),
	})
}

func (s *service) wireDoorbell() error {
	if s.config.Capture == CapturePoll {
		return nil
	}
	address := s.config.Database()
	conn, err := pgx.ParseConfig(address.URL) // brought up to date for each connection
	if err != nil {
		return errors.New("RELAY_DATABASE_URL: it is not one that libpq understands")
	}
	listener := cdc.NewListener(cdc.ListenerConfig{
		Conn: conn, Renew: address.Renew, Trigger: s.config.Capture == CaptureNotify, Log: s.log, Registerer: s.registry,
	}, reconcile.Notified{Engine: s.engine})
	if s.config.Capture == CaptureNotify {
		s.doorbell = listener
		return nil
	}
	s.shared = &sharedStream{
		engine: s.engine, listener: listener,
		stream: cdc.New(cdc.Config{
			Conn: conn, Renew: address.Renew, Slot: s.config.Slot, Publication: s.config.Publication, Steal: true,
			Log: s.log, Registerer: s.registry,
		}, s.engine),
	}
	s.doorbell = s.shared
	return nil
}

// streaming reports whether this relay hears the stream itself.
func (s *service) streaming() bool {
	return s.shared != nil && s.shared.stream.Streaming()
}

// ringing reports whether sweeps may keep to their groups' intervals: a doorbell works, or
// the operator set the intervals.
func (s *service) ringing() bool {
	return s.config.ReconcileSet || s.doorbell != nil && s.doorbell.State().Streaming
}

// gcPercent lets the heap grow to four times of what lives in it, which is little: a relay
// at full speed otherwise collects many times a second.
const gcPercent = 300

// limitMemory makes the garbage collector run seldom, and keep to what the configuration
// bounds: bodies in flight and the rest. GOGC and GOMEMLIMIT prevail.
func limitMemory(config Config) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(config.InFlightBytes) + 56<<20)
	}
}

// serve connects, migrates, wires and runs a relay until ctx ends. Health and metrics are
// served from the beginning to the very end.
func serve(ctx context.Context, app *App, config Config, log *slog.Logger, migrate bool) error {
	s := &service{
		config: config, settings: shownSettings(app.Env, config), unknown: unknownNames(app.Env),
		id: relay.NewID(), log: log, registry: admin.NewRegistry(version()), wired: make(chan struct{}),
	}
	s.registry.MustRegister(newStanding(s.wired, func() *sql.Sampler { return s.sampler }))
	var err error
	if s.tracer, err = newTracer(ctx, app.Env, log); err != nil {
		return err
	}
	last, stopLast := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLast()
	endpoints, last := errgroup.WithContext(last)
	if err := s.serveEndpoints(last, endpoints); err != nil {
		return err
	}
	err = s.work(ctx, migrate)
	s.exportLast(last)
	stopLast()
	return errors.Join(err, endpoints.Wait())
}

// work is the relay's life between opening and closing the database.
func (s *service) work(ctx context.Context, migrate bool) (err error) {
	err = s.persist(ctx, func() (err error) {
		s.store, err = s.config.Database().Open(ctx, s.config.DatabaseConnections)
		return err
	})
	if err != nil {
		return err
	}
	defer s.store.Close()
	if err := s.persist(ctx, func() error { return s.store.Ping(ctx) }); err != nil {
		return err
	}
	if err := s.persist(ctx, func() error { return s.prepare(ctx, migrate) }); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := s.persist(ctx, func() error { return s.fitTrigger(ctx) }); err != nil {
		return err
	}
	if err := s.persist(ctx, func() error { return s.readAckKey(ctx) }); err != nil {
		return err
	}
	s.sampler = sql.NewSampler(s.store)
	if err := s.wire(); err != nil {
		return err
	}
	s.operate = operate.New(s.store.Console())
	close(s.wired)
	s.logStart()
	return s.run(ctx)
}

// run works until ctx ends, then stops in order: the doorbell, intake, attempts under way,
// outcomes, leases; the broker's connection goes last.
func (s *service) run(ctx context.Context) error {
	last, stopLast := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLast()
	outer, last := errgroup.WithContext(last)
	outer.Go(func() error { return s.dispatcher.Run(last) })
	for _, l := range s.links {
		if l.run != nil {
			outer.Go(func() error { return l.run(last) })
		}
	}
	inner, ctx := errgroup.WithContext(ctx)
	var stopping time.Time
	inner.Go(func() error {
		<-ctx.Done()
		stopping = time.Now()
		s.log.Info("stopping", "why", context.Cause(ctx), "in_flight", s.engine.Status().InFlight, "grace", s.config.ShutdownGrace)
		return nil
	})
	inner.Go(func() error { return s.engine.Run(ctx) })
	inner.Go(func() error { return s.tell(ctx) })
	if s.doorbell != nil {
		inner.Go(func() error { return s.doorbell.Run(ctx) })
	}
	err := inner.Wait()
	stopLast()
	err = errors.Join(err, outer.Wait())
	for _, l := range s.links {
		if l.close != nil {
			l.close()
		}
	}
	// What could not be written is part of the error, with which the process ends.
	s.log.Info("stopped", "took", time.Since(stopping).Round(time.Millisecond))
	return err
}
