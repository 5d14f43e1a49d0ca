package sql

import (
	"context"
	"testing"
	"time"
)

// The relays are told once of what a transaction changes by hand. What the relay itself changes, it tells by itself.
func TestChangesByHandAreTold(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	admin := db.Admin(t)
	ear := db.Relay(t)
	conn, err := ear.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), "listen relay_changed"); err != nil {
		t.Fatal(err)
	}
	heard := func() (n int) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), "select pg_notify('relay_changed', 'end')"); err != nil {
			t.Fatal(err)
		}
		for {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			got, err := conn.Conn().WaitForNotification(ctx)
			cancel()
			switch {
			case err != nil:
				t.Fatal(err)
			case got.Payload == "end":
				return n
			case got.Payload != "":
				t.Errorf("told %q", got.Payload)
			}
			n++
		}
	}
	const fill = `
		insert into relay.outbox (topic, status, outstanding, finished_at) select 't', 'open', 1, null from generate_series(1, 1000);
		insert into relay.delivery (message_id, subscription, instance, target, circuit, status, shard, seq, due_at)
		select id, 's', '', 'http://h/', 's', 'dead', shard, seq, now() from relay.outbox`
	if _, err := admin.Exec(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	for statement, want := range map[string]int{
		"update relay.outbox set status = 'dead'":                                             0,
		"update relay.outbox set last_error = 'x'":                                            0,
		"update relay.outbox set status = 'dead'; update relay.outbox set status = 'pending'": 1,
		"update relay.delivery set last_error = 'x'":                                          0,
		"update relay.delivery set status = 'waiting'; update relay.delivery set next_attempt_at = now(); update relay.delivery set status = 'dead', next_attempt_at = null": 1,
	} {
		for as, times := range map[string]int{"psql": 1, "relay": 0} {
			heard()
			if _, err := admin.Exec(t.Context(), "begin; set local application_name = "+as+"; "+statement+"; commit"); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
			if n := heard(); n != want*times {
				t.Errorf("%s as %s: told %d times, want %d", statement, as, n, want*times)
			}
		}
	}
}
