package main

import (
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"relay"
	"relay/schedule"
)

const goodSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// with returns an environment with the one required variable and the given ones.
func with(pairs ...string) map[string]string {
	env := map[string]string{"RELAY_DATABASE_URL": "postgres://relay:geheim@db:5432/shop"}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return env
}

func TestReadConfigDefaults(t *testing.T) {
	t.Parallel()
	got, err := ReadConfig(with())
	if err != nil {
		t.Fatal(err)
	}
	groups, err := schedule.Parse("0-63 every 5s limit 500")
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		DatabaseConnections: 10,

		Adopt:           AdoptAsk,
		DatabaseURL:     "postgres://relay:geheim@db:5432/shop",
		Source:          "shop",
		Capture:         CaptureStream,
		Slot:            "relay",
		Publication:     "relay",
		HTTPTimeout:     10 * time.Second,
		HTTPConcurrency: 64,
		Backoff: Backoff{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute,
			30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour},
		MaxAttempts:   20,
		GiveUpAfter:   7 * 24 * time.Hour,
		Reconcile:     groups,
		InFlight:      10_000,
		InFlightBytes: 64 << 20,
		MaxPayload:    1 << 20,
		Retention:     7 * 24 * time.Hour,
		LeaseTTL:      10 * time.Second,
		ShutdownGrace: 20 * time.Second,
		AdminAddr:     "127.0.0.1:8470",
		MetricsAddr:   ":9464",
		LogLevel:      slog.LevelInfo,
		LogFormat:     LogText,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("defaults:\n got %#v\nwant %#v", got, want)
	}
}

func TestReadConfigValues(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value string
		field       func(Config) any
		want        any
	}{
		{"RELAY_DATABASE_URL", "host=db user=relay dbname=shop password=a://b", func(c Config) any { return c.Source }, "shop"},
		{"RELAY_DATABASE_URL", "postgresql://clerk@db", func(c Config) any { return c.Source }, "clerk"},
		{"RELAY_DATABASE_CONNECTIONS", "2", func(c Config) any { return c.DatabaseConnections }, 2},
		{"RELAY_ADOPT", "auto", func(c Config) any { return c.Adopt }, AdoptAuto},
		{"RELAY_SOURCE", "orders", func(c Config) any { return c.Source }, "orders"},
		{"RELAY_CAPTURE", "notify", func(c Config) any { return c.Capture }, CaptureNotify},
		{"RELAY_CAPTURE", "poll", func(c Config) any { return c.Capture }, CapturePoll},
		{"RELAY_SLOT", "relay_2", func(c Config) any { return c.Slot }, "relay_2"},
		{"RELAY_PUBLICATION", "outbox", func(c Config) any { return c.Publication }, "outbox"},
		{"RELAY_AMQP_URL", "amqps://u:p@mq/v", func(c Config) any { return c.AMQPURL }, Secret("amqps://u:p@mq/v")},
		{"RELAY_DEFAULT_DESTINATION", "https://shop.example/hook", func(c Config) any { return c.DefaultDestination.Kind }, relay.TargetHTTP},
		{"RELAY_HTTP_SECRET", goodSecret + ", " + goodSecret, func(c Config) any { return c.HTTPSecrets }, Secrets{goodSecret, goodSecret}},
		{"RELAY_HTTP_TIMEOUT", "1500ms", func(c Config) any { return c.HTTPTimeout }, 1500 * time.Millisecond},
		{"RELAY_HTTP_CONCURRENCY", "1", func(c Config) any { return c.HTTPConcurrency }, 1},
		{"RELAY_EGRESS_ALLOW", "10.0.0.0/8, hooks.internal loopback", func(c Config) any { return c.EgressAllow }, "10.0.0.0/8, hooks.internal loopback"},
		{"RELAY_ROW_DESTINATIONS", "none", func(c Config) any { return c.RowDestinations }, "none"},
		{"RELAY_ROW_DESTINATIONS", "https://*.hooks.example, amqp:events/", func(c Config) any { return c.RowDestinations }, "https://*.hooks.example, amqp:events/"},
		{"RELAY_BACKOFF", "100ms, 1s", func(c Config) any { return c.Backoff }, Backoff{100 * time.Millisecond, time.Second}},
		{"RELAY_MAX_ATTEMPTS", "3", func(c Config) any { return c.MaxAttempts }, 3},
		{"RELAY_GIVE_UP_AFTER", "1m", func(c Config) any { return c.GiveUpAfter }, time.Minute},
		{"RELAY_RECONCILE", "0-31 every 1s; 32-63 cron * * * * *", func(c Config) any { return len(c.Reconcile) }, 2},
		{"RELAY_RECONCILE", "0-63 every 5s limit 500", func(c Config) any { return c.ReconcileSet }, true},
		{"RELAY_RECONCILE", "", func(c Config) any { return c.ReconcileSet }, false},
		{"RELAY_IN_FLIGHT", "7", func(c Config) any { return c.InFlight }, 7},
		{"RELAY_IN_FLIGHT_BYTES", "1GiB", func(c Config) any { return c.InFlightBytes }, Bytes(1 << 30)},
		{"RELAY_MAX_PAYLOAD", "1024", func(c Config) any { return c.MaxPayload }, Bytes(1024)},
		{"RELAY_MAX_PAYLOAD", "500 kB", func(c Config) any { return c.MaxPayload }, Bytes(500_000)},
		{"RELAY_RETENTION", "0", func(c Config) any { return c.Retention }, time.Duration(0)},
		{"RELAY_LEASE_TTL", "3s", func(c Config) any { return c.LeaseTTL }, 3 * time.Second},
		{"RELAY_SHUTDOWN_GRACE", "1m", func(c Config) any { return c.ShutdownGrace }, time.Minute},
		{"RELAY_ADMIN_ADDR", "[::1]:0", func(c Config) any { return c.AdminAddr }, Address("[::1]:0")},
		{"RELAY_ADMIN_ADDR", "localhost:80", func(c Config) any { return c.AdminAddr.Loopback() }, true},
		{"RELAY_ADMIN_ADDR", "off", func(c Config) any { return c.AdminAddr }, Address("")},
		{"RELAY_ADMIN_TOKEN", "t0ken", func(c Config) any { return c.AdminToken }, Secret("t0ken")},
		{"RELAY_VIEWER_TOKEN", "viewer", func(c Config) any { return c.ViewerToken }, Secret("viewer")},
		{"RELAY_HIDE_PAYLOADS", "true", func(c Config) any { return c.HidePayloads }, true},
		{"RELAY_METRICS_ADDR", "off", func(c Config) any { return c.MetricsAddr }, Address("")},
		{"RELAY_LOG_LEVEL", "DEBUG", func(c Config) any { return c.LogLevel }, slog.LevelDebug},
		{"RELAY_LOG_FORMAT", "json", func(c Config) any { return c.LogFormat }, LogJSON},
	}
	for _, tt := range tests {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			t.Parallel()
			c, err := ReadConfig(with(tt.name, tt.value))
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.field(c); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%#v, want %#v", got, tt.want)
			}
		})
	}
}

// badValues holds for each variable values that stop the start, with others that it
// takes to do so.
var badValues = map[string][]struct {
	value string
	also  []string
}{
	"RELAY_DATABASE_URL":         {{value: "shop"}, {value: "mysql://db/shop"}, {value: "postgres://db:port/shop"}, {value: "postgres://db/shop?sslmode=some"}},
	"RELAY_SOURCE":               {{value: strings.Repeat("s", 256)}, {value: "a\nb"}},
	"RELAY_CAPTURE":              {{value: "STREAM"}, {value: "wal"}},
	"RELAY_SLOT":                 {{value: "Relay"}, {value: "re-lay"}, {value: strings.Repeat("s", 64)}},
	"RELAY_PUBLICATION":          {{value: `re"lay`}, {value: strings.Repeat("p", 64)}},
	"RELAY_AMQP_URL":             {{value: "rabbitmq:5672"}, {value: "http://rabbitmq"}, {value: "amqp://a b"}},
	"RELAY_DEFAULT_DESTINATION":  {{value: "ftp://host/x"}, {value: "audit"}, {value: "http://"}, {value: "amqp:orders"}, {value: "amqp:orders/new"}, {value: "amqp:/queue"}},
	"RELAY_HTTP_SECRET":          {{value: "secret"}, {value: "whsec_c2hvcnQ="}, {value: goodSecret + ",whsec_%"}},
	"RELAY_HTTP_TIMEOUT":         {{value: "10"}, {value: "0s"}, {value: "-1s"}, {value: "soon"}, {value: "25h"}, {value: "2562047h"}},
	"RELAY_HTTP_CONCURRENCY":     {{value: "0"}, {value: "-1"}, {value: "many"}, {value: "1.5"}, {value: "99999999999999999999"}, {value: "4294967297"}},
	"RELAY_SUBSCRIPTION_SECRETS": {{value: "env:RELAY_ADMIN_TOKEN"}, {value: "env:*"}, {value: "file:secret"}, {value: "file:/run/../etc/"}, {value: "/run/secrets"}},
	"RELAY_HTTP_TLS":             {{value: "bank.example"}, {value: "* ca=/nowhere/ca.pem"}, {value: "* cert=/etc/hostname"}, {value: "https://h ca=/etc/hostname"}},
	"RELAY_HTTP_PROXY":           {{value: "proxy:3128"}, {value: "socks5://user:HUSH@proxy"}, {value: "a..b=direct"}, {value: "http://user:HUSH@proxy/path"}},
	"RELAY_EGRESS_ALLOW":         {{value: "10.0.0.0/33"}, {value: "http://host"}, {value: "private,10.0.0.256"}},
	"RELAY_ROW_DESTINATIONS":     {{value: " "}, {value: "none,https://h"}, {value: "hooks.example"}, {value: "https://user:HUSH@h"}, {value: "amqp:user:HUSH@h/x"}, {value: "https://a.*.example"}, {value: "amqp:events/order*"}, {value: "amqp:/jobs#"}, {value: "amqp:events/order.>"}},
	"RELAY_BACKOFF":              {{value: "5"}, {value: "1s,"}, {value: "1s,0s"}, {value: "1s;2s"}, {value: "1s,2000000h"}, {value: "-1s"}},
	"RELAY_MAX_ATTEMPTS":         {{value: "0"}, {value: "twenty"}, {value: "2147483648"}},
	"RELAY_GIVE_UP_AFTER":        {{value: "0s"}, {value: "7d"}, {value: "2562047h"}},
	"RELAY_RECONCILE":            {{value: "0-62 every 5s"}, {value: "0-63 every 5s limit 0"}, {value: "0-63 cron 99 * * * *"}},
	"RELAY_IN_FLIGHT":            {{value: "0"}, {value: "1k"}, {value: "1000001"}},
	"RELAY_IN_FLIGHT_BYTES":      {{value: "0"}, {value: "64 MeB"}, {value: "64mb"}, {value: "-1"}, {value: "9999999999GiB"}, {value: "1.5GiB"}, {value: "1025GiB"}},
	"RELAY_MAX_PAYLOAD":          {{value: "0MiB"}, {value: "big"}, {value: "65MiB"}, {value: "2GiB", also: []string{"RELAY_IN_FLIGHT_BYTES", "4GiB"}}},
	"RELAY_RETENTION":            {{value: "-1h"}, {value: "7"}, {value: "2562047h"}},
	"RELAY_LEASE_TTL":            {{value: "0s"}, {value: "999ms"}, {value: "10"}, {value: "25h"}},
	"RELAY_SHUTDOWN_GRACE":       {{value: "0s"}, {value: "x"}, {value: "1000h"}},
	"RELAY_ADMIN_ADDR":           {{value: "8470"}, {value: "localhost"}, {value: ":http"}, {value: ":65536"}},
	"RELAY_ADMIN_TOKEN":          {{value: "two words"}, {value: "schlüssel"}, {value: "", also: []string{"RELAY_ADMIN_ADDR", ":8470"}}, {value: "", also: []string{"RELAY_ADMIN_ADDR", "10.0.0.1:8470", "RELAY_VIEWER_TOKEN", "viewer"}}},
	"RELAY_VIEWER_TOKEN":         {{value: "tab\there"}, {value: "same-token", also: []string{"RELAY_ADMIN_TOKEN", "same-token"}}},
	"RELAY_METRICS_ADDR":         {{value: "on"}, {value: "9464"}},
	"RELAY_ACK_URL":              {{value: "relay.example", also: []string{"RELAY_ACK_ADDR", ":8471"}}, {value: "https://relay.example/?a=b", also: []string{"RELAY_ACK_ADDR", ":8471"}}, {value: "ftp://relay.example", also: []string{"RELAY_ACK_ADDR", ":8471"}}, {value: "", also: []string{"RELAY_ACK_ADDR", ":8471"}}},
	"RELAY_ACK_ADDR":             {{value: "8471"}, {value: "off", also: []string{"RELAY_ACK_URL", "https://relay.example"}}},
	"RELAY_LOG_LEVEL":            {{value: "loud"}, {value: "1"}},
	"RELAY_LOG_FORMAT":           {{value: "xml"}},
	"RELAY_ADOPT":                {{value: "always"}, {value: "AUTO"}},
	"RELAY_HIDE_PAYLOADS":        {{value: "maybe"}, {value: "2"}},

	"RELAY_DATABASE_PASSWORD_COMMAND": {{value: " "}, {value: "\n\t"}},

	"RELAY_DATABASE_CONNECTIONS": {{value: "1"}, {value: "0"}, {value: "1001"}, {value: "ten"}},
}

func TestReadConfigRefusesBadValues(t *testing.T) {
	t.Parallel()
	for _, v := range variables() {
		bad := badValues[v.Name]
		if len(bad) == 0 {
			t.Errorf("%s: no bad value is tested", v.Name)
		}
		for _, b := range bad {
			t.Run(v.Name+"="+b.value, func(t *testing.T) {
				t.Parallel()
				env := with(b.also...)
				env[v.Name] = b.value
				c, err := ReadConfig(env)
				if err == nil {
					t.Fatalf("accepted: %v", c)
				}
				line := err.Error()
				t.Log(line)
				if !strings.HasPrefix(line, v.Name+": ") || strings.Contains(line, "\n") {
					t.Errorf("%q is not one line that begins with the name", line)
				}
				if !strings.HasSuffix(line, "; allowed: "+v.Allowed) {
					t.Errorf("%q does not say what is allowed: %q", line, v.Allowed)
				}
				want := ": bad value " + quote(v.shown(b.value))
				if b.value == "" {
					want = ": not set"
				}
				if !strings.Contains(line, want) {
					t.Errorf("%q does not say %q", line, want)
				}
			})
		}
	}
}

func TestReadConfigMissing(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]map[string]string{
		"nothing": {},
		"empty":   {"RELAY_DATABASE_URL": "", "DATABASE_URL": ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ReadConfig(env)
			if err == nil || !strings.HasPrefix(err.Error(), "RELAY_DATABASE_URL: not set; allowed: ") {
				t.Errorf("error %v, want one that begins with RELAY_DATABASE_URL: not set", err)
			}
		})
	}
}

func TestReadConfigDatabaseFallback(t *testing.T) {
	t.Parallel()
	const own, other = "postgres://db/own", "postgres://db/other"
	c, err := ReadConfig(map[string]string{"DATABASE_URL": other})
	if err != nil || c.DatabaseURL != other {
		t.Errorf("DATABASE_URL alone: %v, %v", c.DatabaseURL, err)
	}
	c, err = ReadConfig(map[string]string{"RELAY_DATABASE_URL": own, "DATABASE_URL": other})
	if err != nil || c.DatabaseURL != own {
		t.Errorf("both: %v, %v", c.DatabaseURL, err)
	}
	_, err = ReadConfig(map[string]string{"DATABASE_URL": "nonsense"})
	if err == nil || !strings.HasPrefix(err.Error(), "DATABASE_URL: bad value") {
		t.Errorf("a bad one: error %v, want one that names DATABASE_URL", err)
	}
}

func TestReadConfigAcrossFields(t *testing.T) {
	t.Parallel()
	for name, pairs := range map[string][]string{
		"token off loopback":     {"RELAY_ADMIN_ADDR", "0.0.0.0:8470", "RELAY_ADMIN_TOKEN", "t0ken"},
		"no admin address":       {"RELAY_ADMIN_ADDR", "off"},
		"amqp default":           {"RELAY_DEFAULT_DESTINATION", "amqp:orders/{topic}", "RELAY_AMQP_URL", "amqp://mq"},
		"acknowledgements":       {"RELAY_ACK_ADDR", ":8471", "RELAY_ACK_URL", "https://relay.example/base/"},
		"payload as the budget":  {"RELAY_MAX_PAYLOAD", "2MiB", "RELAY_IN_FLIGHT_BYTES", "2MiB"},
		"empty counts as unset":  {"RELAY_ADMIN_ADDR", "", "RELAY_MAX_ATTEMPTS", "", "RELAY_DEFAULT_DESTINATION", ""},
		"both tokens, different": {"RELAY_ADMIN_TOKEN", "a", "RELAY_VIEWER_TOKEN", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := with(pairs...)
			before := maps.Clone(env)
			c, err := ReadConfig(env)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(string(c.AckURL), "/") {
				t.Errorf("RELAY_ACK_URL keeps its slash: %q", c.AckURL)
			}
			if !maps.Equal(env, before) {
				t.Error("the environment was changed")
			}
		})
	}
}
