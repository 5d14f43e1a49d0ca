package test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"relay/test/harness"
)

// teapot answers 418 under /brew and 500 under /later, and accepts everything else.
func teapot(w http.ResponseWriter, r *http.Request) bool {
	switch r.URL.Path {
	case "/brew":
		w.WriteHeader(http.StatusTeapot)
	case "/later":
		w.WriteHeader(http.StatusInternalServerError)
	default:
		return true
	}
	return false
}

// An outcome that the database refuses came with 499 others, and none of them could be written as
// long as it was there.
func TestAnOutcomeThatTheDatabaseRefusesHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=100ms,1h")
	s.receiver.answers = teapot
	for _, constraint := range []string{
		"relay.attempt add constraint no_tea check (response_code is distinct from 418)",
		"relay.delivery add constraint no_poison check (target !~ 'poison')",
		"relay.delivery add constraint not_yet check (target !~ 'later' or attempts < 2)",
	} {
		s.exec(t, "alter table "+constraint)
	}
	const inserted = `with all_of_them as (
		insert into relay.outbox (topic, destination)
		select 't', case n when 20 then $1 || '/brew' when 40 then $1 || '/poison' when 60 then $1 || '/later' end
		from generate_series(1, 200) n returning id, destination)
	select string_agg(id::text, ' ' order by destination) from all_of_them where destination is not null`
	ids := strings.Fields(s.text(t, inserted, s.receiver.URL))
	brewed, later, poison := ids[0], ids[1], ids[2]

	s.waitStatus(t, poison, "rejected")
	harness.Eventually(t, 20*time.Second, "all others are done", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where status = 'done'") == "197"
	})
	if reason := s.text(t, "select last_error from relay.outbox where id = $1", poison); !strings.Contains(reason, "23514") || !strings.Contains(reason, "no_poison") {
		t.Errorf("the reason does not say what was refused: %q", reason)
	}
	state := func(id string) string {
		return s.text(t, "select status || ' ' || attempts || ' ' || coalesce(last_error, '') from relay.delivery where message_id = $1", id)
	}
	harness.Eventually(t, 10*time.Second, "what is refused for its record alone goes on without it", func() bool {
		return strings.HasPrefix(state(brewed), "handle_failed 2 ") && strings.Contains(state(brewed), "no_tea")
	})

	// What can be written in no way is not sent again meanwhile, and is written in the end.
	harness.Eventually(t, 10*time.Second, "the second attempt is made", func() bool { return len(s.receiver.requests(later)) == 2 })
	if got := state(later); !strings.HasPrefix(got, "handle_failed 1 ") {
		t.Errorf("it is %q", got)
	}
	s.exec(t, "alter table relay.delivery drop constraint not_yet")
	harness.Eventually(t, 20*time.Second, "it is written when it can be", func() bool { return strings.HasPrefix(state(later), "handle_failed 2 ") })
	if n := len(s.receiver.requests(later)); n != 2 {
		t.Errorf("%d attempts were made, want 2", n)
	}
	if n := strings.Count(s.relay.log.String(), "a row is refused"); n < 1 || n > 3 {
		t.Errorf("it is said %d times", n)
	}
	if strings.Contains(s.relay.log.String(), "write outcomes") {
		t.Error("writing was taken for broken")
	}
}

// The relay took an application's trigger that raises for one row for a database that cannot be
// written to, and sent nothing any more.
func TestATriggerThatRaisesForOneRowHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := newSystem(t, "RELAY_BACKOFF=100ms,1h")
	s.receiver.answers = teapot
	for _, statement := range []string{
		"create function public.audit() returns trigger language plpgsql as $$ begin raise exception 'not this one'; end $$",
		"create trigger audit before update on relay.outbox for each row when (new.topic = 'cursed') execute function public.audit()",
		"create trigger audit before update on relay.delivery for each row when (new.target like '%later' and new.attempts = 2) execute function public.audit()",
	} {
		s.exec(t, statement)
	}
	cursed := s.send(t, "topic", "'cursed'")
	later := s.send(t, "topic, destination", "'t', $1", s.receiver.URL+"/later")
	s.exec(t, "insert into relay.outbox (topic) select 't' from generate_series(1, 200)")
	harness.Eventually(t, 20*time.Second, "all others are done", func() bool {
		return s.text(t, "select count(*)::text from relay.outbox where status = 'done'") == "200"
	})
	harness.Eventually(t, 10*time.Second, "the second attempt is made", func() bool { return len(s.receiver.requests(later)) == 2 })
	s.waitStatus(t, s.send(t, "topic", "'t'"), "done")
	state := func() string {
		return s.text(t, "select status || ' ' || attempts from relay.delivery where message_id = $1", later)
	}
	if was := s.status(t, cursed); was != "pending" || state() != "handle_failed 1" {
		t.Errorf("they are %q and %q, which the triggers do not allow", was, state())
	}
	// An outcome that is refused is tried as a rejection right after that: between the two, a trigger that is dropped lets
	// the rejection pass.
	s.exec(t, "drop trigger audit on relay.outbox; "+
		"create trigger audit before update on relay.outbox for each row when (new.status = 'rejected') execute function public.audit()")
	s.exec(t, "drop trigger audit on relay.delivery")
	s.waitStatus(t, cursed, "done")
	harness.Eventually(t, 20*time.Second, "the second attempt is written", func() bool { return state() == "handle_failed 2" })
	if n, m := len(s.receiver.requests(cursed)), len(s.receiver.requests(later)); n != 1 || m != 2 {
		t.Errorf("%d and %d attempts were made, want 1 and 2", n, m)
	}
	if strings.Contains(s.relay.log.String(), "write outcomes") {
		t.Error("writing was taken for broken")
	}
}
