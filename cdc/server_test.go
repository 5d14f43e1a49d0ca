package cdc

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"relay/test/harness"
)

func TestServerWithoutLogicalWAL(t *testing.T) {
	t.Parallel()
	b := newBenchOwn(t, map[string]string{"wal_level": "replica"})
	r := b.run()
	b.until(r, "wal_level is replica, and streaming needs logical; to mend it: alter system set wal_level = logical, then restart the server")
	b.restart(func() error { return b.db.Server.Stop("fast") }, "wal_level = logical")
	b.until(r, "streaming")
}

// restart ends the server by stop and starts it again with settings.
func (b *bench) restart(stop func() error, settings ...string) {
	b.t.Helper()
	for _, setting := range settings {
		b.admin("alter system set " + setting)
	}
	if err := stop(); err != nil {
		b.t.Fatal(err)
	}
	if err := b.db.Server.Start(context.Background()); err != nil {
		b.t.Fatal(err)
	}
}

func TestRoleWithoutReplication(t *testing.T) {
	t.Parallel()
	b := newBenchOwn(t, nil)
	b.admin("alter role relay noreplication")
	r := b.run()
	b.until(r, `role "relay" has no replication right; to mend it: alter role "relay" replication`)
	b.admin("alter role relay replication")
	b.until(r, "streaming")
}

func TestSlotsAndSendersExhausted(t *testing.T) {
	t.Parallel()
	b := newBenchOwn(t, map[string]string{"max_replication_slots": "1", "max_wal_senders": "1"})
	b.admin("select pg_create_physical_replication_slot('other')")
	r := b.run()
	b.until(r, "all 1 replication slots are in use; to mend it: alter system set max_replication_slots = 10, then restart the server; or drop one")
	b.admin("select pg_drop_replication_slot('other')")
	b.until(r, "streaming")
	r.stop()
	var holder *pgconn.PgConn
	harness.Eventually(t, 10*time.Second, "the one sender is free", func() bool {
		var err error
		holder, err = connectReplication(t.Context(), b.cfg.Conn, nil)
		return err == nil
	})
	r = b.run()
	b.until(r, "no WAL sender or connection is free (max_wal_senders is 1); to mend it: alter system set max_wal_senders = 10")
	closeReplication(holder)
	b.until(r, "streaming")
}

func TestServerIsKilledAndRestarted(t *testing.T) {
	t.Parallel()
	b := newBenchOwn(t, map[string]string{"fsync": "on"})
	r := b.streaming()
	b.insert("a")
	b.heard("a")
	again := b.missedAgain(1)
	b.restart(b.db.Server.Kill)
	harness.Eventually(t, 20*time.Second, "the stream is back", again)
	b.insert("b")
	harness.Eventually(t, 10*time.Second, "b is heard", func() bool { return strings.HasSuffix(b.rec.keys(), "b") })
	r.stop()
	b.forget()
	b.restart(func() error { return b.db.Server.Stop("immediate") })
	b.insert("c")
	b.streaming()
	harness.Eventually(t, 10*time.Second, "c is heard", func() bool { return strings.HasSuffix(b.rec.keys(), "c") })
}

func TestServerStopsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBenchOwn(t, nil)
	b.cfg.HeartbeatEvery = time.Hour // confirming is to suffice
	r := b.streaming()
	b.relay("create table relay.noise (n int); insert into relay.noise select generate_series(1, 100000)")
	b.insert("a")
	began := time.Now()
	again := b.missedAgain(1)
	b.restart(func() error {
		err := b.db.Server.Stop("fast")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the stop took %s", took)
		}
		return err
	})
	harness.Eventually(t, 20*time.Second, "the stream is back", again)
	r.stop()
}

// TestServerStopsWhileTheSinkIsBusy has a position that cannot follow the server's, so
// that only leaving lets the server stop.
func TestServerStopsWhileTheSinkIsBusy(t *testing.T) {
	t.Parallel()
	b := newBenchOwn(t, nil)
	r := b.streaming()
	release := b.blockSink()
	b.insert("a")
	harness.Eventually(t, 5*time.Second, "the sink is busy", func() bool {
		b.rec.mu.Lock()
		defer b.rec.mu.Unlock()
		return b.rec.calls > 0
	})
	began := time.Now()
	err := b.db.Server.Stop("fast")
	if took := time.Since(began); err != nil || took > 6*time.Second {
		t.Errorf("the stop took %s, error %v", took, err)
	}
	release()
	if err := b.db.Server.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.until(r, "streaming")
	b.heard("a,a")
}

// blockSink lets the sink's calls hang until release is called.
func (b *bench) blockSink() (release func()) {
	block := make(chan struct{})
	b.rec.mu.Lock()
	b.rec.block = block
	b.rec.mu.Unlock()
	return sync.OnceFunc(func() { close(block) })
}

func TestSlowSinkKeepsTheConnection(t *testing.T) {
	t.Parallel()
	b := newBenchOwn(t, map[string]string{"wal_sender_timeout": "2s"})
	r := b.streaming()
	release := b.blockSink()
	b.insert("a")
	time.AfterFunc(3500*time.Millisecond, release) // longer than the server waits for a word
	b.heard("a")
	if _, missed := b.rec.count(); missed != 1 || !r.Streaming() {
		t.Errorf("the stream was lost: %s", r.State())
	}
}

// proxy passes connections on to a server until it is frozen; then it swallows whatever
// comes, like a network that has lost the route.
type proxy struct {
	mu     sync.Mutex
	frozen chan struct{}
}

func (p *proxy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	upstream, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	frozen := p.frozen
	p.mu.Unlock()
	ours, theirs := net.Pipe()
	pass := func(to, from net.Conn) {
		defer to.Close()
		b := make([]byte, 1<<16)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			select {
			case <-frozen:
				_, _ = io.Copy(io.Discard, from)
				return
			default:
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
	}
	go pass(theirs, upstream)
	go pass(upstream, theirs)
	return ours, nil
}

// freeze swallows what goes over the connections there are; new ones are passed on.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.frozen)
	p.frozen = make(chan struct{})
}

func TestHalfOpenConnectionIsFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := &proxy{frozen: make(chan struct{})}
	b.cfg.Conn.DialFunc = p.dial
	b.cfg.SilentAfter = time.Second
	r := b.streaming()
	b.insert("a")
	b.heard("a")
	again := b.missedAgain(1)
	p.freeze()
	b.insert("b")
	harness.Eventually(t, 20*time.Second, "the stream is back", again)
	harness.Eventually(t, 10*time.Second, "b is heard", func() bool { return strings.HasSuffix(b.rec.keys(), "b") })
	if !strings.Contains(b.log.String(), errSilent.Error()) {
		t.Errorf("the log does not report the silence; state %s", r.State())
	}
}
