package test

import (
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

func TestACancelForOneSubscriberLeavesTheOthers(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=1h", "RELAY_RECONCILE=0-63 every 1h")
	stock, mail := newReceiver(t, nil), newReceiver(t, nil)
	bad, _ := refusingBad(t)
	stock.answers, mail.answers = bad.answers, bad.answers
	s.exec(t, `insert into relay.subscription (name, topics, target) values ('stock', '{#}', $1), ('mail', '{#}', $2), ('log', '{#}', $3)`, stock.URL, mail.URL, s.receiver.URL)
	head := s.send(t, "topic, key", "'bad', 'k'")
	const failing = "log handled, mail handle_failed, stock handle_failed"
	harness.Eventually(t, 20*time.Second, "two of three fail", func() bool { return s.deliveries(t, head) == failing })
	behind := s.send(t, "topic, key", "'good', 'k'")
	harness.Eventually(t, 20*time.Second, "it waits at both", func() bool { return s.deliveries(t, behind) == "log handled, mail waiting, stock waiting" })
	for name, why := range map[string]string{"nobody": "it was not sent to nobody", "log": "handled by log"} {
		code, out, errs := s.messages(t, "cancel", head, "--subscription="+name)
		if code != 1 || out != head+"  no delivery: "+why+"\n" || !strings.Contains(errs, "1 of 1 message failed") {
			t.Errorf("%s: code %d, %q, %q", name, code, out, errs)
		}
	}
	if got := s.deliveries(t, head); got != failing {
		t.Errorf("deliveries %s", got)
	}
	if code, out, errs := s.messages(t, "cancel", head, "--subscription=stock", "--json"); code != 0 || out != `{"id":"`+head+`","result":"cancelled","ok":true}`+"\n" {
		t.Errorf("cancel: code %d, %q, %q", code, out, errs)
	}
	if got := s.deliveries(t, head) + ", " + s.status(t, head); got != "log handled, mail handle_failed, stock cancelled, open" {
		t.Error(got)
	}
	harness.Eventually(t, soon, "the key goes on there", func() bool { return stock.accepted(behind) == 1 })
	if n := mail.accepted(behind); n != 0 {
		t.Errorf("the key went on where nothing was cancelled: %d", n)
	}
	if code, out, errs := s.messages(t, "cancel", head, "--subscription=mail"); code != 0 {
		t.Errorf("cancel: code %d, %q, %q", code, out, errs)
	}
	s.waitStatus(t, head, "done") // the third subscriber has it
	s.waitStatus(t, behind, "done")
	if code, out, _ := s.messages(t, "cancel", head, "--subscription=mail", "--status=dead"); code == 0 || out != "" {
		t.Errorf("ids and a filter: code %d, %q", code, out)
	}
}

func TestACancelForABroadcastIsForAllItsInstances(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, "RELAY_BACKOFF=1h")
	f.all(t)
	f.refusesBad(1)
	f.refusesBad(2)
	f.subscribe(t, "", "")
	plain, _ := refusingBad(t)
	f.exec(t, "insert into relay.subscription (name, topics, target) values ('plain', '{#}', $1)", plain.URL)
	id := f.send(t, "topic, key", "'bad', 'k'")
	states := func(id string) string {
		return f.text(t, `select string_agg(concat_ws(' ', subscription, nullif(split_part(split_part(instance, ':', 1), '.', 4), ''), status), ', ' order by subscription, instance)
			from relay.delivery where message_id = $1`, id)
	}
	harness.Eventually(t, 20*time.Second, "instances fail", func() bool {
		return states(id) == "plain handle_failed, sub 1 handled, sub 2 handle_failed, sub 3 handle_failed"
	})
	next := f.send(t, "topic, key", "'good', 'k'")
	harness.Eventually(t, 20*time.Second, "the next waits", func() bool { return states(next) == "plain waiting, sub 1 handled, sub 2 waiting, sub 3 waiting" })
	f.names.set(t)
	<-time.After(forgetHosts)
	unresolved := f.send(t, "topic", "'bad'")
	harness.Eventually(t, 20*time.Second, "the host name has no instance", func() bool { return states(unresolved) == "plain handle_failed, sub push_failed" })
	if code, out, errs := f.messages(t, "cancel", id, unresolved, "--subscription=sub"); code != 0 || strings.Count(out, "  cancelled\n") != 2 {
		t.Errorf("cancel: code %d, %q, %q", code, out, errs)
	}
	f.waitStates(t, next, "none waiting, 1 handled, 2 handled, 3 handled")
	if got := states(id) + " | " + states(unresolved); got != "plain handle_failed, sub 1 handled, sub 2 cancelled, sub 3 cancelled | plain handle_failed, sub cancelled" {
		t.Error(got)
	}
	if a, b := f.status(t, id), f.status(t, unresolved); a != "open" || b != "open" {
		t.Errorf("messages are %s and %s, and another subscriber is to have them", a, b)
	}
}
