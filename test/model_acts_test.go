package test

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relay/test/checker"
	"relay/test/harness"
)

// modelSubscription is one that comes and goes under its name.
type modelSubscription struct {
	name      string
	topics    []string
	others    []string // that it may have for a while
	attempts  int      // zero: no limit
	unordered bool
	blocks    bool
	late      bool // it is not there at first
	acks      bool // its consumer acknowledges
	broadcast bool
}

// holdsKeys names the subscription whose dead messages hold their keys.
const holdsKeys = "blocks"

var modelSubscriptions = []modelSubscription{
	{name: "orders", topics: []string{"order.*"}, others: []string{"order.paid", "stock.#"}, attempts: 4},
	{name: holdsKeys, topics: []string{"order.#", "stock.*"}, others: []string{"order.paid.#"}, attempts: 3, blocks: true},
	{name: "loose", topics: []string{"*.created"}, others: []string{"#.late"}, unordered: true},
	{name: "lasting", topics: []string{"order.#", "stock.#"}, others: []string{"#"}},
	{name: toBroker, topics: []string{"order.created", "#.late"}, others: []string{"order.#"}},
	{name: toConsumer, topics: []string{"order.#", "stock.*"}, others: []string{"*.created"}, acks: true},
	{name: toFleet, topics: []string{"order.*", "odd"}, others: []string{"#.low"}, broadcast: true},
	{name: "late", topics: []string{"#"}, others: []string{"odd"}, attempts: 6, late: true},
}

// create makes a subscription if it is not there.
func (m *model) create(s modelSubscription) error {
	target := m.inboxes.URL + s.name
	switch {
	case s.name == toBroker:
		target = "amqp:" + toBroker + "/"
	case s.broadcast:
		target = m.fleetURL
	}
	return m.change(s, `insert into relay.subscription (name, topics, target, max_attempts, ordered, on_dead, ack, ack_timeout, broadcast)
		values ($1, $2, $3, nullif($4::int, 0), not $5, case when $6 then 'block' else 'continue' end,
			case when $7 then 'consumer' else 'response' end, $8, $9) on conflict do nothing`,
		s.topics, target, s.attempts, s.unordered, s.blocks, s.acks, consumerSilence, s.broadcast)
}

// change makes one statement about a subscription, whose name comes before the arguments,
// and notes the state in which the table then has it.
func (m *model) change(s modelSubscription, statement string, arguments ...any) error {
	return m.changeBy(s, func() error {
		_, err := m.admin.Exec(m.t.Context(), statement, append([]any{s.name}, arguments...)...)
		return err
	})
}

// changeBy is change by whatever do does.
func (m *model) changeBy(s modelSubscription, do func() error) error {
	c := checker.Change{Subscription: s.name, Issued: time.Now(), Unordered: s.unordered, Blocks: s.blocks}
	if s.acks {
		c.AckTimeout = consumerSilence
	}
	if err := do(); err != nil {
		return err
	}
	c.Done = time.Now()
	err := m.admin.QueryRow(m.t.Context(), "select topics, paused from relay.subscription where name = $1", s.name).Scan(&c.Topics, &c.Paused)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !s.broadcast {
		m.changes = append(m.changes, c)
		return nil
	}
	for _, instance := range m.fleet {
		c.Subscription, c.Of = instance, s.name
		m.changes = append(m.changes, c)
	}
	return nil
}

func pausing(s modelSubscription) func(*model, int) (func() error, error) {
	return func(m *model, _ int) (func() error, error) {
		end := func() error { return m.change(s, "update relay.subscription set paused = false where name = $1") }
		return end, m.change(s, "update relay.subscription set paused = true where name = $1")
	}
}

func retopic(s modelSubscription) func(*model, int) (func() error, error) {
	const set = "update relay.subscription set topics = $2 where name = $1"
	return func(m *model, _ int) (func() error, error) {
		return func() error { return m.change(s, set, s.topics) }, m.change(s, set, s.others)
	}
}

// deleting deletes a subscription, which is refused while it has deliveries outstanding,
// and makes it again.
func deleting(s modelSubscription) func(*model, int) (func() error, error) {
	return func(m *model, _ int) (func() error, error) {
		err := m.change(s, "delete from relay.subscription where name = $1")
		if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) && refused.Code == "23503" {
			return nil, err
		}
		return func() error { return m.create(s) }, err
	}
}

// deletingByForce deletes it whatever is outstanding, which is cancelled, and makes it again.
func deletingByForce(s modelSubscription) func(*model, int) (func() error, error) {
	return func(m *model, _ int) (func() error, error) {
		err := m.changeBy(s, func() error {
			_, err := m.relayCommand("subscriptions", "delete", s.name, "--force")
			return err
		})
		return func() error { return m.create(s) }, err
	}
}

func moody(name string) func(*model, int) (func() error, error) {
	return func(m *model, pick int) (func() error, error) {
		as := mood(1 + pick%int(moods-1))
		m.logf("mood %d of %s", as, name)
		return m.inboxes.set(name, as), nil
	}
}

func (m *model) cutBroker(int) (func() error, error) {
	from := time.Now()
	m.toAMQP.set(proxyRefuse)
	m.toAMQP.cut()
	return func() error {
		m.toAMQP.set(proxyPass)
		m.interrupted("cut the way to the broker", from)
		return nil
	}, nil
}

func (m *model) unbindBroker(int) (func() error, error) { return m.inboxes.unbind() }

func (m *model) launchRelay() {
	address := harness.FreeAddress(m.t)
	p := launchBinary(m.t, m.names.binary, m.db, append([]string{"RELAY_ACK_ADDR=" + address, "RELAY_ACK_URL=http://" + address}, m.env...)...)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.relays = append(m.relays, p)
	m.acksAt[p] = address
}

// takesAcks lists where the relays that are to run take acknowledgements.
func (m *model) takesAcks() (addresses []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.relays {
		addresses = append(addresses, m.acksAt[p])
	}
	return addresses
}

// running returns the relays. None of them ever ends by itself.
func (m *model) running() []*process {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.relays {
		select {
		case <-p.ended:
			m.t.Errorf("a relay ended by itself: %v", p.err)
		default:
		}
	}
	return m.relays
}

// takeRelay picks a relay and takes it out of those that are to run.
func (m *model) takeRelay(pick int) *process {
	all := m.running()
	m.mu.Lock()
	defer m.mu.Unlock()
	i := pick % len(all)
	m.relays = append(append([]*process(nil), all[:i]...), all[i+1:]...)
	return all[i]
}

func (m *model) killRelay(pick int) (func() error, error) {
	from := time.Now()
	m.takeRelay(pick).kill()
	m.interrupted("kill a relay", from)
	return func() error { m.launchRelay(); return nil }, nil
}

// stopRelay sends SIGTERM and waits for the end.
func (m *model) stopRelay(pick int) error {
	p := m.takeRelay(pick)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		if p.err != nil { // it may have been stopped while it started
			m.logf("the relay stopped with %v", p.err)
		}
		return nil
	case <-time.After(45 * time.Second):
		p.kill()
		return errors.New("the relay did not end after SIGTERM")
	}
}

func (m *model) restartRelay(pick int) (func() error, error) {
	err := m.stopRelay(pick)
	return func() error { m.launchRelay(); return err }, nil
}

func (m *model) freezeRelay(pick int) (func() error, error) {
	all := m.running()
	p, from := all[pick%len(all)], time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("freeze a relay: %w", err)
	}
	return func() error {
		err := p.cmd.Process.Signal(syscall.SIGCONT)
		m.interrupted("freeze a relay", from)
		return err
	}, nil
}

func (m *model) addRelay(int) (func() error, error) {
	if len(m.running()) == maxRelays {
		return nil, errNoSuch
	}
	m.launchRelay()
	return nil, nil
}

func (m *model) removeRelay(pick int) (func() error, error) {
	if len(m.running()) == 1 {
		return nil, errNoSuch
	}
	return nil, m.stopRelay(pick)
}
