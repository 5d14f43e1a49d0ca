package test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay/test/checker"
	"relay/test/harness"
	"relay/throwaway"
)

// What make chaos sets; a plain run keeps to a short schedule that is always the same.
var (
	chaosSeed = flag.Uint64("chaos.seed", 1, "seed of the schedule of TestChaos")
	chaosFor  = flag.Duration("chaos.for", 25*time.Second, "how long TestChaos makes faults")
)

// chaosDisk is the size of the server's disk: room for what some minutes leave there.
const chaosDisk = "600m"

// chaos is a system of its own servers, with a proxy before each, while faults befall it.
type chaos struct {
	t          testing.TB
	begun      time.Time
	db         *harness.DB
	admin      *pgxpool.Pool
	standby    *replica
	rabbit     *throwaway.Rabbit
	receiver   *receiver
	answer     atomic.Int64 // status of the endpoint, or hanging
	toPostgres *proxy
	toRabbit   *proxy
	toEndpoint *proxy
	traffic    *traffic
	env        []string // of every relay
	// synchronous says that no transaction may end before the standby has it.
	synchronous atomic.Bool

	consumer     sync.WaitGroup
	stopConsumer context.CancelFunc

	mu       sync.Mutex
	relays   []*process // that are to run
	receipts []checker.Receipt
	known    map[string]bool // messages that the consumer had
}

// TestChaos lets random faults befall a whole system under traffic, heals it, and holds the
// relay to its promise.
func TestChaos(parallel *testing.T) {
	parallel.Parallel()
	t := newReporter(parallel)
	plan := chaosPlan(*chaosSeed, *chaosFor)
	t.Logf("%d faults in %s; again with make chaos SEED=%d FOR=%s", len(plan), *chaosFor, *chaosSeed, *chaosFor)
	c := newChaos(t)
	consuming, stop := context.WithCancel(t.Context())
	c.stopConsumer = stop
	c.consumer.Go(func() { c.consume(consuming) })
	defer func() { stop(); c.consumer.Wait() }()
	c.traffic = startTraffic(t, c.db.App(t), 3, 15*time.Millisecond, c.transaction)
	for range 2 {
		c.launchRelay()
	}
	for _, p := range c.running() {
		p.waitReady()
	}
	c.run(plan)
	c.heal()
	v := c.traffic.judge(t, c.admin, 2*time.Minute, c.received)
	for what, n := range v.Explained {
		t.Logf("%6d duplicates: %s", n, what)
	}
	if len(v.Given) > 0 {
		t.Errorf("given up: %v", v.Given[:min(len(v.Given), 10)])
	}
	harness.Eventually(t, time.Minute, "a relay streams again", func() bool {
		return slices.ContainsFunc(c.running(), func(p *process) bool {
			_, body := get(t, "http://"+p.metrics+"/readyz")
			return strings.Contains(body, "stream: ok")
		})
	})
}

func newChaos(t testing.TB) *chaos {
	t.Helper()
	c := &chaos{t: t, begun: time.Now(), known: make(map[string]bool)}
	server := harness.Postgres(t, throwaway.PostgresConfig{Settings: map[string]string{
		"max_connections": "70", "min_wal_size": "32MB", "max_wal_size": "32MB",
	}})
	if os.Geteuid() == 0 {
		toSmallDisk(t, server, chaosDisk)
	}
	c.db = harness.NewDatabase(t, server)
	prepare(t, c.db)
	c.admin = c.db.Admin(t)
	c.standby = newReplica(t)
	c.rabbit = harness.OwnRabbit(t)
	c.answer.Store(200)
	c.receiver = newReceiver(t, c.answers)
	c.receiver.discard = true
	c.toPostgres = newProxy(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(server.Port())))
	c.toRabbit = newProxy(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(c.rabbit.Port())))
	c.toEndpoint = newProxy(t, strings.TrimPrefix(c.receiver.URL, "http://"))
	if err := c.declare(); err != nil {
		t.Fatal(err)
	}
	c.env = []string{
		"RELAY_DATABASE_URL=" + c.toPostgres.through(t, c.db.URL),
		"RELAY_AMQP_URL=" + c.toRabbit.through(t, c.rabbit.URL("/")),
		"RELAY_DEFAULT_DESTINATION=" + c.toEndpoint.through(t, c.receiver.URL),
		// Longer than a busy machine holds up a relay, a confirm or an answer by itself: that
		// would make duplicates which no fault explains.
		"RELAY_LEASE_TTL=3s", "RELAY_HTTP_TIMEOUT=6s", "RELAY_SHUTDOWN_GRACE=10s", "RELAY_HTTP_CONCURRENCY=16",
		"RELAY_BACKOFF=200ms,500ms", "RELAY_MAX_ATTEMPTS=1000000",
	}
	return c
}

// transaction is the n-th one of a worker: of one message or three, to one of the two
// destinations, some of them keyed, delayed, rolled back or not waiting for the disk.
func (c *chaos) transaction(worker, n int) transaction {
	do := transaction{rollback: n%5 == 4, async: n%7 == 6 && !c.synchronous.Load()}
	one := checker.Message{Topic: "order.created", To: toHTTP}
	if n%3 == 0 {
		do.destination, one.To = "amqp:"+chaosExchange+"/", toAMQP
	}
	if n%2 == 0 {
		one.Key = fmt.Sprintf("order-%d-%d", worker, n%20)
	}
	if n%11 == 10 {
		do.delay = time.Duration(n%1000) * time.Millisecond
	}
	do.messages = slices.Repeat([]checker.Message{one}, 1+n%4/3*2)
	return do
}

// run makes the faults of a plan at their times and returns when all have ended.
func (c *chaos) run(plan []step) {
	c.begun = time.Now()
	play(plan, func(s step) (time.Time, string) { return c.begun.Add(s.at), s.fault.on }, c.suffer)
}

// play does each part of a plan at its time, and returns when all have ended. Two parts on
// the same thing never overlap: the later one waits.
func play[T any](plan []T, when func(T) (at time.Time, on string), do func(T)) {
	turns := make(map[string]*sync.Mutex)
	for _, part := range plan {
		_, on := when(part)
		turns[on] = new(sync.Mutex)
	}
	var all sync.WaitGroup
	for _, part := range plan {
		all.Go(func() {
			at, on := when(part)
			<-time.After(time.Until(at))
			turns[on].Lock()
			defer turns[on].Unlock()
			do(part)
		})
	}
	all.Wait()
}

// suffer makes one fault and ends it.
func (c *chaos) suffer(s step) {
	from := time.Now()
	if s.fault.unknown {
		defer func() {
			c.traffic.met(checker.Interruption{What: s.fault.name, From: from, To: time.Now().Add(s.fault.noted()), Receiver: s.fault.receiver()})
		}()
	}
	end, err := s.fault.begin(c, s.pick)
	if end == nil {
		c.logf("%s %s", s.fault.name, why(err))
		return
	}
	<-time.After(s.lasts)
	c.logf("%s %s for %s, since %.2fs %s", s.fault.name, why(err), s.lasts, from.Sub(c.begun).Seconds(), why(end()))
}

// why shows an error, and nothing where there is none. A fault that could not be made, or
// ended, is no failure of the relay's: heal insists.
func why(err error) string {
	if err == nil {
		return ""
	}
	return "(" + err.Error() + ")"
}

// heal makes everything work again that a fault may have left behind.
func (c *chaos) heal() {
	c.traffic.end()
	c.logf("healed")
	for _, do := range []func() error{c.revivePostgres, c.startRabbit, c.declare} {
		if err := do(); err != nil {
			c.t.Fatal(err)
		}
	}
	harness.Eventually(c.t, time.Minute, "server and role are set as they were", func() bool { return c.adminEach(restore...) == nil })
	if len(c.running()) == 0 {
		c.t.Fatal("no relay is left")
	}
}

// received ends the consumer and returns what all receivers have accepted.
func (c *chaos) received() []checker.Receipt {
	c.stopConsumer()
	c.consumer.Wait()
	if err := c.drain(); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(c.receiver.receipts(), c.receipts...)
}

func (c *chaos) logf(format string, arguments ...any) {
	c.t.Helper()
	c.t.Logf("%7.2fs %s", time.Since(c.begun).Seconds(), fmt.Sprintf(format, arguments...))
}
