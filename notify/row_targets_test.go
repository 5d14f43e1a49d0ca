package notify_test

import (
	"errors"
	"relay/notify"
	"relay/notify/amqp"
	"relay/notify/webhook"
	"strings"
	"testing"

	"relay"
)

// technologies are all that there are, without what they need to send.
func technologies() notify.Technologies {
	return notify.Register(webhook.Technology(1, true), amqp.Technology(true))
}

func TestRowTargets(t *testing.T) {
	t.Parallel()
	const all = "https://hooks.example https://*.hooks.example:8443, http://*:*\nhttps://api.example/hooks https://api.example/below/ " +
		"https://[2001:db8::1]/ amqp:events/order.# amqp:log.*/ amqp:/jobs.*"
	for destination, want := range map[string]bool{
		"https://hooks.example":                       true,
		"HTTPS://Hooks.Example.:443/any/path?q":       true,
		"https://user:pass@hooks.example/":            true,
		"https://hooks.example:8443/":                 false,
		"https://hooks.example:444/":                  false,
		"https://hooks.example@evil.example/":         false,
		"https://hooks.example.evil.example/":         false,
		"https://evilhooks.example/":                  false,
		"https://a.hooks.example:8443/":               true,
		"https://a.b.hooks.example:8443/":             true,
		"https://a.hooks.example/":                    false,
		"https://.hooks.example:8443/":                false,
		"http://anything.example:81/x":                true,
		"http://10.0.0.1/":                            true, // the address is another question
		"https://[2001:DB8::0:1]/x":                   true,
		"https://[2001:db8::2]/":                      false,
		"https://api.example/":                        false,
		"https://api.example/hooks":                   true,
		"https://api.example/hooks/":                  true,
		"https://api.example/hooks/a/b?c":             true,
		"https://api.example/%68ooks/a":               true,
		"https://api.example/hooks/./a/../b":          true,
		"https://api.example/hooksevil":               false,
		"https://api.example/Hooks":                   false,
		"https://api.example//hooks":                  false,
		"https://api.example/x/../hooks":              true, // it is sent as /hooks
		"https://api.example/hooks/../admin":          false,
		"https://api.example/hooks/%2e%2e/admin":      false,
		"https://api.example/hooks/.%2E/admin":        false,
		"https://api.example/hooks/%252e%252e/admin":  false,
		"https://api.example/hooks/..%2fadmin":        false,
		"https://api.example/hooks%2f..%2fadmin":      false,
		"https://api.example/hooks%2fx":               false,
		"https://api.example/hooks/%2e%2e%5cadmin":    false,
		"https://api.example/hooks/..;x=y/admin":      false,
		"https://api.example/hooks/%25zz/%252e%252e/": false,
		"https://api.example/hooks/100%2525":          true,
		"https://api.example/hooks/%2525252525":       false,
		"https://api.example/hooks/...":               true,
		"https://api.example/below":                   false,
		"https://api.example/below/":                  true,
		"https://api.example/below/x":                 true,
		"https://api.example/below/../x":              false,
		"amqp:events/order.created":                   true,
		"amqp:events/order":                           true,
		"amqp:events/":                                true, // the topic
		"amqp:events/{topic}":                         true,
		"amqp:events/{key}":                           false,
		"amqp:events/invoice.paid":                    false,
		"amqp:event/order.created":                    false,
		"amqp:log.de/anything":                        true,
		"amqp:log.de.at/anything":                     false,
		"amqp:/jobs.mail":                             true,
		"amqp:/jobs":                                  false,
		"amqp:/events":                                false,
		"amqp:jobs.mail/":                             false,
	} {
		_, err := routed(t, all, destination)
		if (err == nil) != want {
			t.Errorf("%s: %v, want it allowed: %v", destination, err, want)
		}
		if err != nil && (!errors.Is(err, relay.ErrRejected) || strings.Contains(err.Error(), "pass")) {
			t.Errorf("%s: %v", destination, err)
		}
		if err != nil && !strings.Contains(err.Error(), "RELAY_ROW_DESTINATIONS") && !strings.Contains(err.Error(), "malformed") {
			t.Errorf("%s: %v does not name the variable", destination, err)
		}
	}
}

// routed returns the subscriber of a row with the destination under the setting.
func routed(t *testing.T, setting, destination string) (*relay.Subscriber, error) {
	t.Helper()
	rows, err := notify.ParseRowTargets(setting, technologies())
	if err != nil {
		t.Fatal(err)
	}
	r, err := notify.NewRouter(notify.RouterConfig{Technologies: technologies(), Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	stock, err := relay.ParseTarget("https://stock.internal/")
	if err != nil {
		t.Fatal(err)
	}
	r.Replace(1, []*relay.Subscriber{{Name: "stock", Target: stock, Trusted: true}})
	m := &relay.Message{ID: relay.NewID(), Topic: "order.created", Key: "invoice.paid", Destination: destination}
	deliveries, err := r.Route(m)
	if err != nil {
		return nil, err
	}
	d := deliveries[0]
	if _, err := r.Resume(m, d.Subscriber.Name, d.Instance, d.Subscriber.Target.Raw, 1); err != nil {
		t.Errorf("%s under %q is taken up, but never goes again: %v", destination, setting, err)
	}
	return d.Subscriber, nil
}

// A name leads only where the operator has said, unless rows may name nothing.
func TestRowTargetsAndSubscriptions(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]bool{"": true, "https://hooks.example": true, "none": false} {
		s, err := routed(t, setting, "stock")
		if (err == nil) != want || want && (!s.Trusted || s.Name != "stock") {
			t.Errorf("%q: %+v, %v", setting, s, err)
		}
		if !want && !strings.Contains(err.Error(), "RELAY_ROW_DESTINATIONS") {
			t.Errorf("%q: %v does not name the variable", setting, err)
		}
	}
	if _, err := routed(t, "none", "https://hooks.example"); err == nil || !strings.Contains(err.Error(), "RELAY_ROW_DESTINATIONS") {
		t.Errorf("a URL under none: %v", err)
	}
	for _, destination := range []string{"https://anything.example/x", "amqp:events/x", "amqp:/jobs"} {
		if s, err := routed(t, "", destination); err != nil || s.Trusted || s.Name != relay.SubscriptionDirect {
			t.Errorf("%s without a setting: %+v, %v", destination, s, err)
		}
	}
}

// No setting opens what belongs to the broker or the relay.
func TestRowsNeverReachTheBrokersOwn(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"", "amqp:#/ amqp:/#"} {
		for _, destination := range []string{
			"amqp:amq.topic/x", "amqp:amq.default/relay.ack.shop", "amqp:/amq.rabbitmq.reply-to.g1h2", "amqp:/amq.gen-x", "amqp:/relay.ack.shop", "amqp:relay.ack.shop/",
		} {
			if _, err := routed(t, setting, destination); err == nil || !strings.Contains(err.Error(), "rows never send") {
				t.Errorf("%s under %q: %v", destination, setting, err)
			}
		}
	}
}

// What waits obeys the setting of today.
func TestRowTargetsHoldForWhatWasTakenUpBefore(t *testing.T) {
	t.Parallel()
	rows, err := notify.ParseRowTargets("https://hooks.example", technologies())
	if err != nil {
		t.Fatal(err)
	}
	r, err := notify.NewRouter(notify.RouterConfig{Technologies: technologies(), Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	m := &relay.Message{ID: relay.NewID(), Topic: "t"}
	for target, want := range map[string]bool{"https://hooks.example/x": true, "https://elsewhere.example/x": false} {
		if _, err := r.Resume(m, relay.SubscriptionDirect, target, target, 1); (err == nil) != want {
			t.Errorf("%s: %v", target, err)
		}
		if _, err := r.Resume(m, relay.SubscriptionDefault, "", target, 1); err != nil {
			t.Errorf("the default destination of another time, %s: %v", target, err)
		}
	}
}

func TestParseRowTargetsRefuses(t *testing.T) {
	t.Parallel()
	for setting, says := range map[string]string{
		" ":                              "no pattern",
		"none https://h":                 "pattern 1 of 2: none stands alone",
		"https://h,hooks":                "pattern 2 of 2: none of http://",
		"http":                           "no host",
		"https:/h/x":                     "none of http://",
		"ftp://h":                        "none of http://",
		"https://":                       "no host",
		"https://*.":                     "no host",
		"https://a.*.example":            "invalid character",
		"https://*a.example":             "invalid character",
		"https://h:99999":                "bad port",
		"https://user:hunter2@h/":        "neither user nor query",
		"https://h/?hunter2":             "neither user nor query",
		"https://h/?":                    "neither user nor query",
		"https://h/#hunter2":             "fragment",
		"https://bücher.example":         "xn--",
		"amqp:events":                    "no slash",
		"amqp://user:hunter2@broker/":    "RELAY_AMQP_URL",
		"amqp:user:hunter2@broker/vhost": "RELAY_AMQP_URL",
	} {
		r, err := notify.ParseRowTargets(setting, technologies())
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, %v, want an error that says %q", setting, r, err, says)
		}
	}
	const shown = "https://*.hooks.example:8443/…, HTTP://*:*, amqp:events/order.#, amqp:/jobs.*"
	if r, err := notify.ParseRowTargets("https://*.hooks.example:8443/services/hunter2 HTTP://*:*/ amqp:events/order.#,amqp:/jobs.*", technologies()); err != nil || r.String() != shown {
		t.Errorf("shown as %q, want %q: %v", r, shown, err)
	}
	if r, err := notify.ParseRowTargets("", technologies()); r != nil || err != nil || r.None() || r.String() != "" {
		t.Errorf("nothing: %v, %v", r, err)
	}
}
