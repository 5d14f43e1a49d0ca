package relay

import (
	"strings"
	"testing"
)

func deliveryFor(t *testing.T, subscription, target, instance string) *Delivery {
	t.Helper()
	parsed, err := ParseTarget(target)
	if err != nil {
		t.Fatal(err)
	}
	return &Delivery{Message: &Message{}, Subscriber: &Subscriber{Name: subscription, Target: parsed}, Instance: instance}
}

func TestCircuits(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		subscription, target, instance string
		want                           Circuits
	}{
		{"billing", "https://one/hook", "", Circuits{"billing", "billing", "billing"}},
		{"billing", "amqp:shop/", "", Circuits{"billing", "billing", "billing"}},
		{"billing", "http://one/", "10.0.0.1:80", Circuits{"billing/10.0.0.1:80", "billing/10.0.0.1:80", "billing/10.0.0.1:80"}},
		{SubscriptionDefault, "https://one/hook", "", Circuits{"default", "default", "default"}},
		{SubscriptionDefault, "amqp:/q", "", Circuits{"default", "default", "default"}},
		{SubscriptionDirect, "HTTPS://One/hook?a=b", "x", Circuits{"https://one:443", "https://one:443", "https://one:443/hook?a=b"}},
		{SubscriptionDirect, "http://one:8080", "x", Circuits{"http://one:8080", "http://one:8080", "http://one:8080/"}},
		{SubscriptionDirect, "amqp:shop/order.{topic}", "x", Circuits{"amqp:shop/", "amqp:", "amqp:shop/"}},
		{SubscriptionDirect, "amqp:/orders", "x", Circuits{"amqp:/orders", "amqp:", "amqp:/orders"}},
	} {
		d := deliveryFor(t, row.subscription, row.target, row.instance)
		got := d.Circuits()
		if got != row.want || d.Circuit() != row.want.Lane {
			t.Errorf("%s to %s: %+v, want %+v", row.subscription, row.target, got, row.want)
		}
		if OriginOfCircuit(got.Target) != got.Origin || OriginOfCircuit(got.Lane) != got.Origin {
			t.Errorf("%s to %s: the origin of %q is %q", row.subscription, row.target, got.Target, OriginOfCircuit(got.Target))
		}
	}
}

// What a server answers to one user of a URL says nothing about another, and neither name
// nor password is shown.
func TestCircuitsTellUsersApartAndShowNone(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, target := range []string{
		"https://one/a?token=hunter2", "https://user@one/a?token=hunter2", "https://user:hunter2@one/a?token=hunter2", "https://user:hunter3@one/a?token=hunter2",
		"https://one/" + strings.Repeat("a", 3000), "https://one/" + strings.Repeat("a", 3001),
	} {
		name := deliveryFor(t, SubscriptionDirect, target, "x").Circuits().Target
		if seen[name] || len(name) > maxCircuit || OriginOfCircuit(name) != "https://one:443" {
			t.Errorf("%s: circuit %q", target, name)
		}
		seen[name] = true
		if shown := ShowCircuit(name); strings.Contains(shown, "hunter") || strings.Contains(shown, "user") || !strings.HasPrefix(shown, "https://one:443/") {
			t.Errorf("%s is shown as %q", target, shown)
		}
	}
	for _, name := range []string{"billing", "billing/10.0.0.1:80", "default", "https://one:443", "amqp:", "amqp:/q"} {
		if ShowCircuit(name) != name {
			t.Errorf("%q is shown as %q", name, ShowCircuit(name))
		}
	}
	if shown := ShowCircuit("https://one:443/a%…"); shown != "https://one:443/…" {
		t.Errorf("what cannot be parsed is shown as %q", shown)
	}
}
