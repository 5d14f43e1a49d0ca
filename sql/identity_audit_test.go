package sql

import (
	"fmt"
	"slices"
	"testing"

	"relay"
)

// What relay adopt does to a copy stands in the audit, in the transactions of the changes.
func TestAdoptingACopyLeavesEntries(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	if _, err := s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), "update relay.identity set database_oid = 1"); err != nil {
		t.Fatal(err)
	}
	insert(t, admin, "topic", "'a.b'")
	insert(t, admin, "topic, key", "'a.b', 'k'")
	job, err := s.PlanJob(t.Context(), JobRetry, MessageFilter{Status: Statuses{relay.MessageDead}}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.StartJob(t.Context(), &job, 0, Once{}); err != nil {
		t.Fatal(err)
	}
	by := s.By(Actor{Name: "anna", Role: "cli", Reason: "staging"})
	if n, err := by.StopJobs(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d jobs were stopped: %v", n, err)
	}
	if n, found, err := by.CancelEverything(t.Context(), "adopted", 100); n != 2 || found != 2 || err != nil {
		t.Fatalf("%d of %d messages were cancelled: %v", n, found, err)
	}
	i, err := by.Adopt(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := by.Adopt(t.Context()); err != nil { // it is no copy any more
		t.Fatal(err)
	}
	page, err := s.Audit(t.Context(), AuditFilter{Actor: "anna"}, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range slices.Backward(page.Entries) {
		got = append(got, fmt.Sprintf("%s %s %s: %s", e.Action, e.Kind, e.Object, e.Result))
	}
	want := []string{
		fmt.Sprintf("job.stop job %s: ", job.ID), "database.cancel database : 2 cancelled",
		fmt.Sprintf("database.adopt database %s: was a copy of %s", i.Actual, i.Stored),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
