package sql

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"relay"
)

// hotStatement is a statement whose plan must not depend on statistics.
type hotStatement struct {
	name      string
	sql       string
	arguments []any
}

// indexes lists those that the plan has to use where others could serve it badly.
func (h hotStatement) indexes() []string {
	switch h.sql {
	case (source{bySeq, findKey}).found(), (source{bySeq, findKey}).counted():
		return []string{"delivery_key_seq ", "delivery_search_key_seq ", "outbox_untaken ", "outbox_ready_key", "outbox_waiting"}
	case (source{bySeq, findDeadThere}).found(), (source{bySeq, findDeadThere}).counted():
		return []string{"Scan Backward using delivery_dead_cause "}
	case (source{bySeq, findOpenThere}).found(), (source{bySeq, findOpenThere}).counted():
		return []string{"Scan Backward using delivery_outstanding "}
	case (source{byTime, standing(Statuses{relay.MessageOpen})}).found(), (source{byTime, standing(Statuses{relay.MessageOpen})}).counted():
		return []string{"Scan Backward using outbox_standing "}
	case (source{byTime, findAll}).found(), (source{byTime, findAll}).counted():
		return []string{"Scan Backward using outbox_created "}
	case countStanding:
		return []string{"outbox_standing", "outbox_ended", "outbox_ready ", "outbox_ready_key", "outbox_waiting"}
	case countUnfinished, failingGroups, waitingDeliveries:
		return []string{"delivery_standing"}
	case countDead, deadGroups, deadSamples:
		return []string{"delivery_dead_cause"}
	case oldestOutstanding:
		return []string{"delivery_outstanding "}
	case rejectedGroups:
		return []string{"Scan Backward using outbox_standing "}
	case keyBefore, keyAfter:
		return []string{"delivery_key_seq ", "delivery_search_key_seq ", "outbox_untaken ", "outbox_ready_key", "outbox_waiting"}
	case jobsOfMessage:
		return []string{"job_result_message"}
	}
	switch h.sql {
	case readKeys:
		return []string{"outbox_ready_key"}
	case lateKeys:
		return []string{"outbox_waiting_key"}
	case waitingOfKeys, sweepWaitingKeys:
		return []string{"delivery_waiting_key"}
	case deadOfKeys:
		return []string{"delivery_holding_key"}
	case parkedDeliveries, parkedCircuits:
		return []string{"delivery_parked_operator "}
	case parkedDirectDeliveries, parkedDirectCircuits:
		return []string{"delivery_parked_direct "}
	case overdueDeliveries:
		return []string{"delivery_overdue"}
	case unroutedTopics, findRerouted:
		return []string{"outbox_standing"}
	}
	return nil
}

// searches are the statements of lists, jobs and their previews.
func searches() (all []hotStatement) {
	now := time.Now()
	for name, s := range map[string]struct {
		source source
		filter MessageFilter
	}{
		"all":        {source{byTime, findAll}, MessageFilter{}},
		"open there": {source{bySeq, findOpenThere}, MessageFilter{Status: Statuses{relay.MessageOpen}, Subscription: "sub"}},
		"several":    {source{byTime, standing(Statuses{relay.MessageOpen, relay.MessageDead})}, MessageFilter{Status: Statuses{relay.MessageOpen, relay.MessageDead}}},
		"by key":     {source{bySeq, findKey}, MessageFilter{Key: "k1"}},
		"dead there": {source{bySeq, findDeadThere}, MessageFilter{Status: Statuses{relay.MessageDead}, Subscription: "direct"}},
		"open":       {source{byTime, standing(Statuses{relay.MessageOpen})}, MessageFilter{Status: Statuses{relay.MessageOpen}, Subscription: "direct"}},
		"replay":     {source{byTime, findAll}, MessageFilter{ReplayTo: "sub", Topics: []string{"#"}}},
	} {
		s.filter.Since, s.filter.Until, s.filter.AsOf = time.Unix(0, 0), now, now
		all = append(all,
			hotStatement{"find " + name, s.source.found(), append(s.filter.arguments(start, firstWindow), 50)},
			hotStatement{"count " + name, s.source.counted(), s.filter.arguments(start, firstWindow)})
	}
	return all
}

func hotStatements(ids []relay.ID, lease Lease) []hotStatement {
	var deliveries []relay.DeliveryID
	var taken, open []Change
	for i, id := range ids {
		d := relay.DeliveryID{Message: id, Subscription: "direct", Instance: "http://127.0.0.1:1/"}
		c := Change{Delivery: d, Shard: int16(i % relay.Shards), Taking: true, MessageStatus: relay.MessageDone, Status: relay.DeliveryHandled, NextAttempt: -1,
			Attempt: &relay.Attempt{Number: 1, Outcome: relay.DeliveryHandled}}
		deliveries, taken = append(deliveries, d), append(taken, c)
		c.Taking = false
		open = append(open, c)
	}
	messages, subscriptions, instances := splitDeliveryIDs(deliveries)
	shards, epochs := lease.of(taken)
	all, keys := make([]int16, relay.Shards), make([]string, relay.Shards)
	for i := range all {
		all[i], keys[i] = int16(i), fmt.Sprint("k", i)
	}
	subscribers, attempts := make([][]byte, len(deliveries)), make([]int32, len(deliveries))
	for i, d := range deliveries {
		subscriber := relay.AckSubscriberOf(d.Subscription, d.Instance)
		subscribers[i] = subscriber[:]
	}
	return []hotStatement{
		{"read messages", readMessages, []any{uuids(ids), int64(1000), int64(100000)}},
		{"glance", glance, []any{uuids(ids)}},
		{"ring others", ringOthers, []any{uuids(ids)}},
		{"read deliveries", readDeliveries, []any{messages, subscriptions, instances, int64(1000), int64(100000)}},
		{"take up", takeUp, arguments(lease, taken)},
		{"take up locked", takeUpLocked, arguments(lease, taken)},
		{"lock open", lockOpen, []any{[16]byte(lease.Owner), shards, epochs, messages, subscriptions, instances}},
		{"write open", writeOpen, arguments(lease, open)},
		{"spread", spreadDeliveries, arguments(lease, open)},
		{"sweep", sweepPending, []any{all, make([]int64, len(all)), 8}},
		{"sweep keys", sweepKeys, []any{all, int16(0), "", 500}},
		{"read keys", readKeys, []any{all, keys, make([]int64, len(all)), slices.Repeat([]int32{64}, len(all)), int64(1000), int64(100000), []int64{1, 2}}},
		{"late keys", lateKeys, []any{keys}},
		{"waiting of keys", waitingOfKeys, []any{all, keys, 16}},
		{"dead of keys", deadOfKeys, []any{all, keys, []string{"sub"}}},
		{"sweep waiting keys", sweepWaitingKeys, []any{all, int16(0), "", 500}},
		{"due messages", dueMessages, []any{all, time.Unix(0, 0), 500}},
		{"release due", releaseDue, []any{uuids(ids)}},
		{"due deliveries", dueDeliveries, []any{all, time.Unix(0, 0), 500}},
		{"next due", nextDue, []any{all}},
		{"parked", parkedDeliveries, []any{"sub", all, int64(0), 500}},
		{"parked of rows", parkedDirectDeliveries, []any{"amqp:", all, int64(0), 500}},
		{"overdue", overdueDeliveries, []any{all, int64(0), 500}},
		{"unrouted topics", unroutedTopics, []any{"why"}},
		{"find rerouted", findRerouted, []any{"why", []string{"t"}, finite(startOfTime), int64(0), rerouteBatch, all}},
		{"reroute", reroute, []any{"why", uuids(ids)}},
		{"find kept", findKept, []any{int64(0), time.Unix(0, 0), uuids(ids[:2]), 500}},
		{"remove messages", removeMessages, []any{uuids(ids)}},
		{"find unstamped", findUnstamped, []any{uuids(ids[:2]), 500}},
		{"note the end", stampEnd, []any{uuids(ids)}},
		{"tell messages", tellMessages, []any{uuids(ids), subscriptions, make([]bool, len(ids))}},
		{"tell deliveries", tellDeliveries, []any{messages, subscriptions, instances, subscriptions}},
		{"end orphans", endOrphans, []any{messages, subscriptions, instances}},
		{"parked circuits", parkedCircuits, nil},
		{"parked circuits of rows", parkedDirectCircuits, []any{"", 1024}},
		{"held keys", heldKeys, []any{"", 100, KeyWaitLimit, "", "", ""}},
		{"standing messages", countStanding, []any{StandingLimit, CountLimit}},
		{"standing deliveries", countUnfinished, []any{StandingLimit}},
		{"dead deliveries", countDead, []any{StandingLimit}},
		{"waiting deliveries", waitingDeliveries, []any{CountLimit, waitingRead}},
		{"oldest deliveries", oldestOutstanding, nil},
		{"dead groups", deadGroups, []any{StandingLimit}},
		{"failing groups", failingGroups, []any{StandingLimit}},
		{"rejected groups", rejectedGroups, []any{rejectedLimit}},
		{"dead samples", deadSamples, []any{"sub", "timeout", 1000}},
		{"summarise", summarise, []any{uuids(ids), detailLimit}},
		{"list deliveries", listDeliveries, []any{uuids(ids), "sub", []string{}, []string{}, "", detailLimit}},
		{"key before", keyBefore, []any{[16]byte(ids[0])}},
		{"key after", keyAfter, []any{[16]byte(ids[0])}},
		{"jobs of a message", jobsOfMessage, []any{[16]byte(ids[0])}},
		{"acknowledge deliveries", acknowledgeDeliveries, []any{uuids(ids), "sub"}},
		{"heads of a key", headsOfKey, []any{"direct", "k1"}},
		{"wake lines", wakeLines, []any{uuids(ids)}},
		{"skip heads", skipHeads, []any{messages, subscriptions, instances}},
		{"retry heads", retryHeads, []any{messages, subscriptions, instances}},
		{"list subscriptions", listSubscriptions, []any{CountLimit}},
		{"count outstanding", countOutstanding, []any{"sub", CountLimit}},
		{"find outstanding", findOutstanding, []any{"sub", 500}},
		{"lock pending", lockPending, []any{[16]byte(lease.Owner), shards, epochs, messages}},
		{"read acked", readAcked, []any{messages[0], subscribers[0]}},
		{"take acks", takeAcks, []any{messages, subscribers, attempts}},
		{"note acked", noteAcked, []any{messages, subscriptions, instances, attempts}},
		{"find acks", findAcks, []any{all, 500}},
		{"read acks", readAcks, []any{messages, subscribers}},
		{"cancel deliveries", cancelDeliveries, []any{messages, subscriptions, instances, "why"}},
		{"reopen partly", reopenDeliveries(reopenPartly), []any{uuids(ids), ""}},
		{"reopen failed", reopenDeliveries(reopenFailed), []any{uuids(ids), "direct"}},
		{"replay", replayDeliveries, []any{uuids(ids), "sub"}},
		{"cancel for one", cancelForOne, []any{uuids(ids), "direct"}},
	}
}

// fill makes a table of ended messages with some pending and some open ones at its end.
const fillPlans = `
insert into relay.outbox (topic, key, status) select 't', case when n % 2 = 0 then 'k' || n % 100 end, 'done' from generate_series(1, 30000) n;
insert into relay.delivery (message_id, subscription, instance, target, status, circuit, shard, seq, due_at, next_attempt_at)
	select id, 'direct', 'http://127.0.0.1:1/', 'x', 'handled', 'c', shard, seq, now(), null from relay.outbox;
insert into relay.outbox (topic, key) select 't', case when n % 2 = 0 then 'k' || n % 100 end from generate_series(1, 500) n;`

func TestPlansOfHotStatementsUseIndexes(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]string{
		"never analysed":      fillPlans,
		"analysed":            fillPlans + `analyze relay.outbox; analyze relay.delivery;`,
		"analysed when empty": `analyze relay.outbox; analyze relay.delivery;` + fillPlans,
		"analysed when all was pending": fillPlans + `update relay.outbox set status = 'pending'; update relay.delivery set status = 'waiting', next_attempt_at = now();
			analyze relay.outbox; analyze relay.delivery;
			update relay.outbox set status = 'done'; update relay.delivery set status = 'handled', next_attempt_at = null;`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, db := open(t)
			lease := own(t, s)
			config, err := pgx.ParseConfig(db.URL)
			if err != nil {
				t.Fatal(err)
			}
			config.RuntimeParams = SessionSettings()
			conn, err := pgx.ConnectConfig(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			const still = `alter table relay.outbox set (autovacuum_enabled = off); alter table relay.delivery set (autovacuum_enabled = off);`
			if _, err := conn.Exec(t.Context(), still+prepare); err != nil {
				t.Fatal(err)
			}
			rows, err := conn.Query(t.Context(), "select id from relay.outbox order by seq desc limit 500")
			ids, err := collectIDs("read ids", rows, err)
			if err != nil {
				t.Fatal(err)
			}
			for _, hot := range append(hotStatements(ids, lease), searches()...) {
				for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
					plan := explain(t, conn, mode, hot)
					for _, index := range hot.indexes() {
						if !strings.Contains(plan, index) {
							t.Errorf("%s (%s) does not use %s\n%s", hot.name, mode, index, plan)
						}
					}
					for _, used := range indexUsed.FindAllString(plan, -1) {
						if slices.Contains(lookedUpByID, hot.name) && !strings.HasSuffix(used, "_pkey") {
							t.Errorf("%s (%s) looks for rows by their ids %s\n%s", hot.name, mode, used, plan)
						}
					}
					if scan := seqScan.FindString(plan); scan != "" {
						t.Errorf("%s (%s): %s\n%s", hot.name, mode, scan, plan)
					}
				}
			}
		})
	}
}

// lookedUpByID are the statements that look for rows by their ids. An index of rows in a certain state would be walked
// through for each of them, however many those are when the plan is used.
var lookedUpByID = []string{
	"read messages", "glance", "ring others", "read deliveries", "take up", "take up locked", "lock open", "write open", "spread", "release due",
	"reroute", "remove messages", "note the end", "tell messages", "tell deliveries", "end orphans", "summarise", "list deliveries",
}

var indexUsed = regexp.MustCompile(`using (outbox|delivery)_\w+`)

var seqScan = regexp.MustCompile(`(Seq|Bitmap Heap) Scan on (outbox|delivery|attempt|ack)\b`)

// explain returns the plan of a statement as a prepared one has it.
func explain(t *testing.T, conn *pgx.Conn, mode string, hot hotStatement) string {
	t.Helper()
	description, err := conn.Prepare(t.Context(), hot.name, hot.sql)
	if err != nil {
		t.Fatalf("%s: %v", hot.name, err)
	}
	var literals []string
	for i, argument := range hot.arguments {
		text, err := conn.TypeMap().Encode(description.ParamOIDs[i], pgtype.TextFormatCode, argument, []byte{})
		if err != nil {
			t.Fatalf("%s: argument %d: %v", hot.name, i+1, err)
		}
		if text == nil {
			literals = append(literals, "null")
			continue
		}
		literals = append(literals, "'"+strings.ReplaceAll(string(text), "'", "''")+"'")
	}
	call := "explain execute hot"
	if len(literals) > 0 {
		call += "(" + strings.Join(literals, ", ") + ")"
	}
	for _, statement := range []string{"set plan_cache_mode = " + mode, "deallocate all", "prepare hot as " + hot.sql} {
		if _, err := conn.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", hot.name, err)
		}
	}
	rows, err := conn.Query(t.Context(), call, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatalf("%s: %v", hot.name, err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", hot.name, err)
	}
	if err := conn.DeallocateAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(strings.Join(lines, "\n"))
}
