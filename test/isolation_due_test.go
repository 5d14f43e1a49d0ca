package test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// What is due is noted in its row. A row that refuses the note holds its own key, and nothing else.
func TestAMessageThatCannotBecomeDueHoldsUpItsKeyAlone(t *testing.T) {
	t.Parallel()
	n := newNeighbour(t, "RELAY_RECONCILE=0-63 every 1s limit 500")
	const curse = "cursed-42P01"
	n.subscribe(t, curse, n.receiver.URL)
	quiet := n.phase(t)
	n.exec(t, cursing)
	n.exec(t, "create trigger curse before update on relay.outbox for each row when (new.due and not old.due) execute function public.curse()")
	held := n.send(t, "topic, key, deliver_at", "$1, 'k', now() + interval '300 ms'", curse)
	n.exec(t, "insert into relay.outbox (topic, key, deliver_at) select 'healthy', 'other' || i, now() + interval '400 ms' from generate_series(1, 50) i")
	n.isolated(t, "make_due", 1, "42P01 in function public.curse")
	behind := n.send(t, "topic, key", "'healthy', 'k'")
	n.unharmed(t, "a message that cannot become due", quiet)
	harness.Eventually(t, 20*time.Second, "the others are done", func() bool {
		return n.text(t, "select count(*)::text from relay.outbox where status <> 'done'") == "2"
	})
	if n.status(t, held) != "pending" || n.status(t, behind) != "pending" {
		t.Errorf("the message is %s, the next of its key %s", n.status(t, held), n.status(t, behind))
	}
	harness.Eventually(t, 20*time.Second, "the message tells of it", func() bool {
		return strings.Contains(n.text(t, "select coalesce(last_error, '') from relay.outbox where id = $1", held), "it is due, and that cannot be noted: PostgreSQL refused it with SQLSTATE 42P01")
	})
	n.exec(t, "drop trigger curse on relay.outbox")
	harness.Eventually(t, time.Minute, "both arrive in their order", func() bool { return n.status(t, behind) == "done" && n.status(t, held) == "done" })
	n.empty(t)
}

// A hundred thousand messages of one key that became due together made each read of the key take a tenth of a second,
// and all other keys waited for it.
func TestManyDueMessagesOfAKeyHoldUpNoOther(t *testing.T) {
	t.Parallel()
	n := newNeighbour(t)
	crowd := newReceiver(t, func(http.ResponseWriter, *http.Request) bool { return true })
	n.subscribe(t, "crowd", crowd.URL)
	quiet := n.phase(t)
	n.exec(t, "insert into relay.outbox (topic, key, deliver_at) select 'crowd', 'crowd', now() + interval '5 seconds' from generate_series(1, 100000)")
	harness.Eventually(t, 2*time.Minute, "the first of the key arrive", func() bool { return crowd.distinct() > 100 })
	n.unharmed(t, "a hundred thousand due messages of one key", quiet)
	var order []string
	for _, r := range crowd.receipts() {
		order = append(order, r.ID)
	}
	ids := n.text(t, "select string_agg(id::text, ',' order by seq) from (select id, seq from relay.outbox where key = 'crowd' order by seq limit $1) x", len(order))
	if !slices.Equal(order, strings.Split(ids, ",")) {
		t.Error("the messages of the key arrive in another order than that of their insertion")
	}
}
