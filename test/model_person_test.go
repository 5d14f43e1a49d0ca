package test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"relay/test/checker"
)

// relayCommand runs a command on the database and returns what it printed; its error says
// what it complained of.
func (m *model) relayCommand(args ...string) (out string, err error) {
	printed, err := command(m.t, args, "RELAY_DATABASE_URL="+m.db.URL).Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		err = fmt.Errorf("relay %s: %w: %s", args[0], err, failed.Stderr)
	}
	return string(printed), err
}

// cancelOne has a person cancel a message that has not ended.
func (m *model) cancelOne(pick int) (func() error, error) {
	ids := m.choose("o.status in ('pending', 'open')", 1+pick%3)
	if len(ids) == 0 {
		return nil, errNoSuch
	}
	out, err := m.relayCommand(append([]string{"messages", "cancel"}, ids...)...)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if strings.Contains(out, id+"  cancelled\n") {
			m.cancels = append(m.cancels, checker.Cancel{Message: id, Done: time.Now()})
		}
	}
	if len(out) > 0 {
		err = nil // one of them had ended
	}
	return nil, err
}

func (m *model) retryDead(pick int) (func() error, error) {
	return nil, m.retry("d.status = 'dead'", 1+pick%20)
}

func (m *model) retryOpen(pick int) (func() error, error) {
	return nil, m.retry("d.status in ('waiting', 'push_failed', 'handle_failed')", 1+pick%20)
}

// retry has a person retry messages.
func (m *model) retry(which string, most int) error {
	ids := m.choose(which, most)
	if len(ids) == 0 {
		return errNoSuch
	}
	m.mu.Lock()
	for _, id := range ids {
		m.retried[id] = true
	}
	m.mu.Unlock()
	out, err := m.relayCommand(append([]string{"messages", "retry"}, ids...)...)
	if len(out) > 0 {
		err = nil // one of them had ended
	}
	return err
}

// choose picks at random messages that fulfil a condition, at most the given number.
func (m *model) choose(which string, most int) []string {
	m.t.Helper()
	rows, err := m.admin.Query(m.t.Context(), fmt.Sprintf(`select o.id::text from relay.outbox o left join relay.delivery d on d.message_id = o.id
		where %s and o.status <> 'cancelled' group by o.id order by random() limit %d`, which, most))
	if err != nil {
		m.t.Errorf("choose messages: %v", err)
		return nil
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		m.t.Errorf("choose messages: %v", err)
	}
	return ids
}

// heldKey picks a key that a dead message holds; empty: there is none.
func (m *model) heldKey() (key string, err error) {
	err = m.admin.QueryRow(m.t.Context(), `select key from relay.delivery
		where subscription = $1 and key is not null and status = 'dead' and delivered_at is null order by random() limit 1`, holdsKeys).Scan(&key)
	if errors.Is(err, pgx.ErrNoRows) {
		err = errNoSuch
	}
	return key, err
}

func (m *model) skipKey(int) (func() error, error) {
	key, err := m.heldKey()
	if err == nil {
		_, err = m.relayCommand("keys", "skip", key, "--subscription="+holdsKeys)
	}
	return nil, err
}

// retryKey sends the head of a key again, which keeps its place in the order.
func (m *model) retryKey(int) (func() error, error) {
	key, err := m.heldKey()
	if err != nil {
		return nil, err
	}
	out, err := m.relayCommand("keys", "retry", key, "--subscription="+holdsKeys)
	m.mu.Lock()
	defer m.mu.Unlock()
	for line := range strings.Lines(out) {
		if id, retried := strings.CutSuffix(line, "  retried\n"); retried {
			m.heads[id] = true
		}
	}
	return nil, err
}

// retryAll makes a job that retries what is dead; which messages, its results say.
func (m *model) retryAll(int) (func() error, error) {
	_, err := m.relayCommand("messages", "retry", "--status=dead", "--rate=200", "--yes")
	return nil, err
}

// replaying makes a job that sends what is of late to a subscription, once more or for the
// first time.
func replaying(name string) func(*model, int) (func() error, error) {
	return func(m *model, pick int) (func() error, error) {
		_, err := m.relayCommand("subscriptions", "replay", name, "--since=1s", fmt.Sprint("--rate=", 20+pick), "--yes")
		return nil, err
	}
}

// jobsDid reads which messages jobs retried, which are added to the others, and which they
// replayed.
func (m *model) jobsDid() (replays []checker.Replay) {
	m.t.Helper()
	rows, err := m.admin.Query(m.t.Context(), `select r.message_id::text, j.kind, coalesce(j.filter->>'replay_to', '')
		from relay.job_result r join relay.job j on j.id = r.job_id where r.ok`)
	if err != nil {
		m.t.Fatal(err)
	}
	var id, kind, to string
	_, err = pgx.ForEachRow(rows, []any{&id, &kind, &to}, func() error {
		if kind == "replay" {
			replays = append(replays, checker.Replay{Message: id, Subscription: to})
		} else {
			m.retried[id] = true
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return replays
}
