package test

import (
	"strings"
	"testing"
)

// TestPatternsThatMatchNothingAreRefused wherever a person gives one, with what was meant.
func TestPatternsThatMatchNothingAreRefused(t *testing.T) {
	t.Parallel()
	db := migrated.Database(t)
	const meant = "write order.* (one word) or order.# (any number of words)"
	for _, args := range [][]string{
		{"subscriptions", "set", "stock", "--topics", "order*", "--target", "http://h/"},
		{"subscriptions", "replay", "stock", "--topic", "order*"},
		{"messages", "list", "--topic", "order*"},
		{"messages", "retry", "--status", "dead", "--topic", "order*"},
		{"messages", "cancel", "--status", "dead", "--topic", "order*"},
	} {
		code, out, errs := run(t, "", args, "RELAY_DATABASE_URL="+db.URL)
		if code == 0 || !strings.Contains(errs, meant) {
			t.Errorf("%v: code %d, %q, %q", args, code, out, errs)
		}
	}
	code, _, errs := run(t, "", []string{"subscriptions", "set", "stock", "--topics", "order.*, item.*", "--target", "http://h/"}, "RELAY_DATABASE_URL="+db.URL)
	if code == 0 || !strings.Contains(errs, "write item.*") {
		t.Errorf("code %d, %q", code, errs)
	}
	if code, _, errs := run(t, "", []string{"messages", "list", "--topic", "a topic"}, "RELAY_DATABASE_URL="+db.URL); code != 0 {
		t.Errorf("a topic that an application may write: code %d, %q", code, errs)
	}
	_, err := db.Admin(t).Exec(t.Context(), "insert into relay.subscription (name, topics, target) values ('stock', '{order*}', 'http://h/')")
	if err == nil || !strings.Contains(err.Error(), meant) {
		t.Errorf("%v", err)
	}
	diagnose(t, db.URL, "RELAY_ROW_DESTINATIONS=amqp:events/order*").names(t, "fail", "configuration", meant, "")
	for _, statement := range []string{
		"alter table relay.subscription disable trigger subscription_checked",
		"insert into relay.subscription (name, topics, target) values ('stock', '{order*}', 'http://h/')",
		"alter table relay.subscription enable always trigger subscription_checked",
	} {
		if _, err := db.Admin(t).Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	diagnose(t, db.URL).names(t, "fail", "subscriptions", "stock: ", "relay subscriptions set stock --topics")
}
