package test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// TestTheMessageCentreOnTheCommandLine: what the API answers, the commands print: failures, senders, overview, pulse,
// audit, what one subscriber was sent, the consumer's word by hand, and the rate of a job.
func TestTheMessageCentreOnTheCommandLine(t *testing.T) {
	t.Parallel()
	address := harness.FreeAddress(t)
	s := newSystem(t, "RELAY_SOURCE=shop", "RELAY_ACK_ADDR="+address, "RELAY_ACK_URL=http://"+address+"/")
	accepting := newReceiver(t, accept)
	s.exec(t, `insert into relay.subscription (name, topics, target, ack, ack_timeout, max_attempts) values
		('later', '{ack.me}', $1, 'consumer', '1 hour', 3), ('gone', '{die}', 'http://127.0.0.1:1/', 'response', '1 minute', 1),
		('held', '{hold}', $1, 'response', '1 minute', 1)`, accepting.URL)
	s.exec(t, "update relay.subscription set paused = true where name = 'held'")
	s.exec(t, "insert into relay.outbox (topic) values ('hold'), ('hold')")
	waiting, dead := s.send(t, "topic", "'ack.me'"), s.send(t, "topic, source", "'die', 'till'")
	s.waitStatus(t, dead, "dead")
	s.waitDelivery(t, waiting, "awaiting_ack")

	prints := func(args string, wants ...string) string {
		t.Helper()
		out := s.cli(t, strings.Fields(args)...)
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("relay %s: no %q in\n%s", args, want, out)
			}
		}
		return out
	}
	prints("failures list", "gone", "refused", "connection refused")
	prints("failures show --subscription gone --cause refused", "of the newest 1 failure", dead, "docs/troubleshooting.md#")
	prints("failures note mended --subscription gone --cause refused", "noted by ")
	prints("failures list --state dead --json", `"note":{"text":"mended"`)
	prints("deliveries list --subscription later", waiting, "awaiting_ack")
	prints("messages list --id "+dead+","+waiting+" --json", dead, waiting)
	prints("deliveries acknowledge "+waiting+" --subscription later --reason booked", waiting+"  acknowledged")
	s.waitStatus(t, waiting, "done")
	prints("audit list --object-kind message --object "+waiting, "delivery.acknowledge", "booked")
	if out := prints("audit list --role viewer --json"); out != "" {
		t.Errorf("no viewer did anything: %s", out)
	}
	code, out, errs := run(t, "", []string{"deliveries", "acknowledge", dead, "--subscription", "gone"}, "RELAY_DATABASE_URL="+s.db.URL)
	if code != 1 || !strings.Contains(errs, "acknowledge: 1 of 1 message failed") {
		t.Errorf("what was never accepted: code %d, %q, %q", code, out, errs)
	}

	overview := struct {
		Needs []struct{ Kind, Subscription string }
		Subs  []struct{ Name string } `json:"subscribers"`
	}{}
	if err := json.Unmarshal([]byte(prints("overview --json")), &overview); err != nil || len(overview.Subs) < 2 {
		t.Errorf("overview: %+v, %v", overview, err)
	}
	prints("overview", "1 are dead at gone: refused.", "gone", "later")
	harness.Eventually(t, 30*time.Second, "the pulse is written", func() bool {
		return strings.Contains(s.cli(t, "senders", "list"), "till") && strings.Contains(s.cli(t, "pulse", "--subscription", "gone", "--json"), `"dead":1`)
	})
	prints("senders list", "shop", "till")
	prints("senders show till", "die", "gone")
	prints("pulse", "NOT REACHED", "OUTSTANDING", "each line is 1m0s")
	harness.Eventually(t, 90*time.Second, "what is outstanding is counted", func() bool {
		return strings.Contains(s.cli(t, "pulse", "--subscription", "held", "--json"), `"outstanding":{"n":2,"precision":"exact"}`)
	})

	s.exec(t, "insert into relay.outbox (topic) select 'bulk' from generate_series(1, 30)")
	harness.Eventually(t, 30*time.Second, "the past is done", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where topic = 'bulk' and status = 'done'") == "30"
	})
	s.exec(t, "insert into relay.subscription (name, topics, target) values ('late', '{bulk}', $1)", s.receiver.URL)
	job := s.job(t, "subscriptions", "replay", "late", "--since=1h", "--rate=1", "--yes")
	prints("jobs rate "+job.ID+" 50 --json", `"rate":50`)
	prints("audit list --action job.rate", job.ID, "50")
}
