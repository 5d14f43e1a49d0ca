package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"relay"
	"relay/operate"
	"relay/sql"
)

func TestTheMessageCentresTablesSayWhatThereIs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	before, ms := now.Add(-2*time.Hour), 4.25
	many := operate.Count{N: 200_000, Precision: operate.AtLeast}
	group := operate.FailureGroup{
		Subscription: "billing", Cause: "refused", Count: many, FirstAt: &before, LastAt: &now, Error: "POST http://h/x: connection refused",
		Note: &operate.FailureNote{Text: "known"},
	}
	sender := operate.Sender{
		Source: "shop", Topics: 1, Today: operate.Count{N: 3, Precision: operate.Exact}, LastAt: &before, Unheard: []string{"order.refunded"},
		Stages:     []operate.StageCount{{Stage: operate.StageHandled, Count: operate.Count{N: 2, Precision: operate.Exact}}},
		SentTopics: []operate.SentTopic{{Topic: "order.refunded", LastAt: before, Unheard: true}},
	}
	delivery := operate.ListedDelivery{
		MessageID: exampleMessage, Topic: "order.created", CreatedAt: before,
		Delivery: operate.Delivery{Status: relay.DeliveryWaiting, Reason: relay.ReasonPaused, Attempts: 2},
	}
	entry := operate.AuditEntry{At: before, Name: "anna\x1b[31m", Role: "cli", Action: "message.retry", Object: exampleMessage, Result: "retried", Reason: "as asked"}
	overview := operate.Overview{
		Needs:       []operate.Need{{Text: "No relay runs: nothing is delivered.", Fix: "relay run"}},
		Messages:    operate.Messages{Dead: many, Oldest: &before},
		Traffic:     operate.Traffic{P50MS: &ms, P99MS: &ms},
		Subscribers: []operate.SubscriberStanding{{Name: "billing", Standing: operate.Standing{Outstanding: many, OldestAt: &before, Circuit: "open"}}},
	}
	pulse := operate.Pulse{Step: 60, Points: []operate.PulsePoint{{At: before, Accepted: 7, WaitP50: &ms, WaitP99: &ms, Outstanding: &many}, {At: now}}}
	for text, wants := range map[string][]string{
		failureTable([]operate.FailureGroup{group}, now, 160):          {"billing", "200000+", "2h", "connection refused (POST http://h/x)", "known"},
		failureTable(nil, now, 160):                                    {"no failures\n"},
		senderTable([]operate.Sender{sender}, now, 160):                {"shop", "2h", "order.refunded"},
		senderText(sender, now, 160):                                   {"handled 2", "no subscription"},
		deliveryTable([]operate.ListedDelivery{delivery}, now, 160):    {exampleMessage, "waiting (paused)", "2h"},
		auditTable([]operate.AuditEntry{entry}, now, 200):              {"2026-01-31 10:00:00.000Z", "anna·[31m", "message.retry", "as asked"},
		overviewText(overview, now, 100):                               {"! No relay runs: nothing is delivered. · relay run", "200000+ dead", "4.25 ms / 4.25 ms", "oldest     2h"},
		overviewText(operate.Overview{}, now, 100):                     {"nothing needs you\n"},
		pulseTable(pulse):                                              {"2026-01-31T10:00:00Z", "4.25 ms", "200000+\n", "–\n", "each line is 1m0s"},
		sampleText(operate.FailureSample{}, 100):                       {"no failures\n"},
		sampleText(operate.FailureSample{Sampled: 1, Guide: "g"}, 100): {"of the newest 1 failure", "docs/troubleshooting.md#g"},
	} {
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		for line := range strings.Lines(text) {
			if utf8.RuneCountInString(line) > 2*tableWidth+1 || strings.ContainsRune(line, '\x1b') {
				t.Errorf("a line that no terminal should get: %q", line)
			}
		}
	}
}

func TestStatusCountsUpToTheLimitOfWhatStands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", sql.StandingLimit - 1: "199999", sql.StandingLimit: "at least 200000"} {
		if got := standingText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestCommandsOfTheMessageCentreJudgeTheirOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ line, want string }{
		{"failures list --state gone", `--state: "gone": allowed is dead, failing or rejected`},
		{"failures show", "--subscription is missing"},
		{"failures note text", "--subscription is missing"},
		{"deliveries list", "--subscription is missing"},
		{"deliveries list --subscription x --limit 0", "--limit: allowed is 1 to "},
		{"deliveries acknowledge", "ID... is missing"},
		{"deliveries acknowledge " + exampleMessage, "--subscription is missing"},
		{"jobs rate " + exampleJob + " fast", `RATE: "fast" is no number`},
		{"jobs rate " + exampleJob, "RATE is missing"},
		{"audit list --object-kind thing", `--object-kind: "thing": allowed is message, subscription, key, job, failure, session or database`},
		{"audit list --role root", `--role: "root": allowed is viewer, operator, cli or none`},
		{"senders show", "SOURCE is missing"},
		{"pulse --step soon", `--step: "soon": `},
		{"overview more", `unexpected argument "more"`},
	} {
		code, out, errs := runMain(t, t.Context(), nil, strings.Fields(tt.line)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, tt.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: code %d, %q, %q, want %q", tt.line, code, out, errs, tt.want)
		}
	}
}
