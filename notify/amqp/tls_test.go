package amqp_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"relay"
	"relay/notify/amqp"
	"relay/notify/conformance"
	"relay/test/harness"
)

// withTLS returns the address of a node's TLS port for its administrator, with parameters.
func withTLS(t testing.TB, plain, address string, parameters ...string) string {
	t.Helper()
	u, err := url.Parse(plain)
	if err != nil {
		t.Fatal(err)
	}
	u.Scheme, u.Host, u.RawQuery = "amqps", address, strings.Join(parameters, "&")
	return u.String()
}

// delivers sends one message over a destination.
func delivers(t testing.TB, a *amqp.Destination, target string) {
	t.Helper()
	got := a.Deliver(t.Context(), conformance.NewDelivery(subscriberOf(t, target), []byte("{}")))
	if got.Class != relay.ClassDelivered {
		t.Errorf("to %s: class %v, %s", target, got.Class, got.Error)
	}
}

// Each way to TLS works, and what is wrong with one is told in one line with its fix.
func TestTLS(t *testing.T) {
	t.Parallel()
	authority, other := harness.NewAuthority(t), harness.NewAuthority(t)
	cert, key := authority.Certificate(t, "shipping")
	foreignCert, foreignKey := other.Certificate(t, "shipping")
	open, openAt := harness.TLSRabbit(t, authority, false)
	strict, strictAt := harness.TLSRabbit(t, authority, true)
	ca, client := "cacertfile="+authority.CA, "certfile="+cert+"&keyfile="+key
	external := strings.Replace(withTLS(t, strict.URL(""), strictAt, ca, client, "auth_mechanism=external"), "relay:", "nobody:", 1)
	_, port, _ := strings.Cut(openAt, ":")

	for name, c := range map[string]struct{ url, why, mend string }{
		"another CA":            {withTLS(t, open.URL(""), openAt), "does not trust the CA", "cacertfile=PATH"},
		"another name":          {withTLS(t, open.URL(""), openAt, ca, "server_name_indication=elsewhere"), "not for elsewhere", "server_name_indication"},
		"plain on TLS":          {strings.Replace(withTLS(t, open.URL(""), openAt), "amqps:", "amqp:", 1), "the port " + port + " speaks TLS", "write amqps:// instead of amqp://"},
		"plain on strict TLS":   {strings.Replace(withTLS(t, strict.URL(""), strictAt), "amqps:", "amqp:", 1), "speaks TLS", "write amqps:// instead of amqp://"},
		"TLS on plain":          {strings.Replace(open.URL(""), "amqp:", "amqps:", 1), "speaks AMQP without TLS", "write amqp:// instead of amqps://"},
		"no client certificate": {withTLS(t, strict.URL(""), strictAt, ca), "the broker refuses the TLS connection", "certfile=PATH and keyfile=PATH"},
		"foreign certificate":   {withTLS(t, strict.URL(""), strictAt, ca, "certfile="+foreignCert, "keyfile="+foreignKey), "the broker refuses the TLS connection", "of a CA that the broker trusts"},
		"no such user":          {external, "username or password not allowed", "rabbitmqctl add_user, with the name that the broker reads in the client certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := runAMQP(t, amqp.Config{URL: c.url})
			says(t, a, c.why, c.mend)
		})
	}
	t.Run("own CA", func(t *testing.T) {
		t.Parallel()
		delivers(t, startAMQP(t, amqp.Config{URL: withTLS(t, open.URL(""), openAt, ca)}), "amqp:/by-ca")
	})
	t.Run("client certificate", func(t *testing.T) {
		t.Parallel()
		delivers(t, startAMQP(t, amqp.Config{URL: withTLS(t, strict.URL(""), strictAt, ca, client)}), "amqp:/by-certificate")
	})
	t.Run("external", func(t *testing.T) {
		t.Parallel()
		if _, err := open.Ctl(t.Context(), "add_user", "shipping", "unused"); err != nil {
			t.Fatal(err)
		}
		url := withTLS(t, open.URL(""), openAt, ca, client, "auth_mechanism=external")
		a := runAMQP(t, amqp.Config{URL: url})
		says(t, a, `the vhost "/" is not there, or not for this user`, "set_permissions -p")
		if _, err := open.Ctl(t.Context(), "set_permissions", "shipping", ".*", ".*", ".*"); err != nil {
			t.Fatal(err)
		}
		eventuallyUp(t, a)
		delivers(t, a, "amqp:/by-external")
	})
}

// says waits until the destination is down and says both in one line, without a password.
func says(t testing.TB, a *amqp.Destination, words ...string) {
	t.Helper()
	var text string
	defer func() {
		if t.Failed() {
			t.Logf("it says: %s", text)
		}
	}()
	harness.Eventually(t, 30*time.Second, "it says "+strings.Join(words, ", "), func() bool {
		var up bool
		up, text = a.State()
		for _, w := range words {
			up = up || !strings.Contains(text, w)
		}
		return !up
	})
	if strings.Contains(text, "\n") || strings.Contains(text, "@") {
		t.Errorf("it is not one line without a user: %q", text)
	}
}

// What needs no TLS is told likewise.
func TestWrongAddresses(t *testing.T) {
	t.Parallel()
	r := harness.Rabbit(t)
	plain, err := url.Parse(r.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(u *url.URL)) string {
		u := *plain
		change(&u)
		return u.String()
	}
	for name, c := range map[string]struct{ url, why, mend string }{
		"HTTP":         {with(func(u *url.URL) { u.Host = r.ManagementAddress() }), "speaks HTTP", "write the broker's AMQP port"},
		"TLS on HTTP":  {with(func(u *url.URL) { u.Scheme, u.Host = "amqps", r.ManagementAddress() }), "", "RELAY_AMQP_URL"},
		"unknown host": {with(func(u *url.URL) { u.Host = "no-such-host.invalid:5672" }), `the host "no-such-host.invalid" is unknown`, "correct the host in RELAY_AMQP_URL"},
		"wrong vhost":  {with(func(u *url.URL) { u.Path = "/nowhere" }), `the vhost "nowhere" is not there`, `rabbitmqctl add_vhost "nowhere"`},
		"wrong user":   {with(func(u *url.URL) { u.User = url.UserPassword("somebody", "hush") }), "username or password not allowed", "rabbitmqctl add_user somebody"},
		"no broker":    {with(func(u *url.URL) { u.Host = "127.0.0.1:1" }), "connection refused", "start the broker at 127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			says(t, runAMQP(t, amqp.Config{URL: c.url}), c.why, c.mend)
			all, err := amqp.Examine(t.Context(), c.url)
			if err != nil || len(all) != 1 || all[0].Trouble == nil || !strings.Contains(all[0].Trouble.Mend, c.mend) {
				t.Errorf("examined: %+v, %v", all, err)
			}
		})
	}
}

// Of several addresses the first that answers is used; when its broker goes, the next one.
func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	first, second := harness.OwnRabbit(t), harness.Rabbit(t)
	a := startAMQP(t, amqp.Config{URL: first.URL("") + ", " + second.URL("")})
	connectedTo := func(url string) {
		t.Helper()
		harness.Eventually(t, 30*time.Second, "it is connected to the other broker", func() bool {
			up, text := a.State()
			return up && strings.Contains(text, portOf(t, url))
		})
	}
	connectedTo(first.URL(""))
	delivers(t, a, "amqp:/several")
	must(t, first.Kill())
	connectedTo(second.URL(""))
	delivers(t, a, "amqp:/several")
	if n := depth(t, brokerChannel(t, second.URL("")), "several"); n != 1 {
		t.Errorf("%d messages at the second broker", n)
	}
	all, err := amqp.Examine(t.Context(), first.URL("")+","+second.URL(""))
	if err != nil || len(all) != 2 || all[0].Trouble == nil || all[1].Trouble != nil || !strings.HasPrefix(all[1].Broker, "RabbitMQ ") {
		t.Errorf("examined: %+v, %v", all, err)
	}
	ch := brokerChannel(t, second.URL(""))
	_, err = ch.QueueDelete("several", false, false, false)
	must(t, err)
}

func portOf(t testing.TB, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return ":" + u.Port()
}

func TestBadAddresses(t *testing.T) {
	t.Parallel()
	authority := harness.NewAuthority(t)
	cert, key := authority.Certificate(t, "c")
	for text, why := range map[string]string{
		"":                            "must begin with",
		"http://a":                    "must begin with",
		"amqp://":                     "no host",
		"amqp://a:hush@b:port":        "malformed",
		`"amqp://a:hush@b"`:           "leave the quotes out",
		"amqp://a,http://b":           "malformed",
		"amqp://a,amqp://b:port":      "malformed",
		"amqp://a?cacertfile=/ca":     "write amqps://",
		"amqps://a?cacertfile=/no":    "no such file",
		"amqps://a?cacertfile=" + key: "no certificate",
		"amqps://a?certfile=" + cert:  "need each other",
		"amqps://a?certfile=" + cert + "&keyfile=/no":         "no such file",
		"amqps://a?auth_mechanism=external":                   "needs amqps://, certfile and keyfile",
		"amqp://a?auth_mechanism=external":                    "needs amqps://, certfile and keyfile",
		"amqp://a?auth_mechanism=gssapi":                      "none of plain, amqplain and external",
		"amqps://a?verify=verify_none":                        "always checks the broker's certificate",
		"amqp://u:hush@a:1,amqps://u:hush@b?cacertfile=/none": "no such file",
	} {
		if err := amqp.CheckURL(text); err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: error %v, want %q", text, err, why)
		}
	}
	for _, text := range []string{
		"amqp://a", "amqp://u:p,w@a:1/v,amqp://u:p,w@b:2/v", "amqp://u:p@a:1,b:2,[::1]:3/v?heartbeat=5", " amqps://a , amqps://b ",
		"amqp://u:p@a:1;amqp://u:p@b:2", "amqp://u:p@a:1 amqp://u:p@b:2,\n",
		"amqps://a?cacertfile=" + authority.CA + "&certfile=" + cert + "&keyfile=" + key + "&auth_mechanism=EXTERNAL",
	} {
		if err := amqp.CheckURL(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
