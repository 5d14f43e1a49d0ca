package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/sethvargo/go-envconfig"
)

// Config holds every variable of the environment, already judged. Its tags are the one
// place where a variable is described: env names it with its default, allow says what a
// value may be, desc what it does, and unset what stands for a default that is computed.
// The table in docs/configuration.md and the errors at the start are made from them.
type Config struct {
	DatabaseURL Secret `env:"RELAY_DATABASE_URL,required" allow:"a PostgreSQL connection URL or keyword/value string, such as postgres://relay:secret@db:5432/shop" desc:"The application's database. Else DATABASE_URL is read. The only variable that must be set. The file is read again for each new connection."`

	// databaseFile is the file that held DatabaseURL, and databaseFileName the variable that named
	// it. Empty means that a variable held it.
	databaseFile, databaseFileName string

	DatabasePasswordCommand Secret `env:"RELAY_DATABASE_PASSWORD_COMMAND" unset:"the URL's password" allow:"a command of the shell that prints the password and nothing else, within 8 seconds" desc:"Run for each new connection to the database, for passwords that expire, such as tokens of a cloud's IAM."`

	password *passwordCommand // nil: none is set

	// DroppedParameters are the names of what DatabaseURL held that means something to other
	// drivers alone. DatabaseURL no longer holds them.
	DroppedParameters []string

	// DatabaseConnections is at least 2.
	DatabaseConnections int `env:"RELAY_DATABASE_CONNECTIONS,default=10" allow:"a whole number from 2 to 1000" desc:"Connections for reading, sweeps and timers. A relay has up to 23 more, each for one purpose."`

	Source string `env:"RELAY_SOURCE" unset:"the database's name" allow:"1 to 255 bytes without control characters" desc:"Sending service of the messages that name none (CloudEvents source)."`

	Capture Capture `env:"RELAY_CAPTURE,default=stream" allow:"stream, notify or poll" desc:"How the relay hears of new rows: logical replication, a NOTIFY trigger, or by sweeps alone."`

	Slot string `env:"RELAY_SLOT,default=relay" allow:"1 to 63 lower-case letters, digits and underscores" desc:"Name of the replication slot. Slots are shared by all databases of a server: a second relay there needs another name."`

	Publication string `env:"RELAY_PUBLICATION,default=relay" allow:"1 to 63 lower-case letters, digits and underscores" desc:"Name of the publication."`

	Adopt Adopt `env:"RELAY_ADOPT,default=ask" allow:"ask or auto" desc:"What a relay does on a database that is a copy of another one: it sends nothing until relay adopt is run, or delivers what the copy holds."`

	AMQPURL Secret `env:"RELAY_AMQP_URL" unset:"no broker" allow:"amqp:// or amqps:// URLs, such as amqp://relay:secret@rabbitmq:5672/vhost, several separated by commas" desc:"The RabbitMQ broker of amqp: targets. Of several addresses of a cluster the first that answers is used. Parameters: cacertfile, certfile, keyfile, server_name_indication, auth_mechanism."`

	// DefaultDestination has the kind relay.TargetNone when there is none. envconfig would
	// walk into an unset struct as into a group of variables, hence decodeunset.
	DefaultDestination Destination `env:"RELAY_DEFAULT_DESTINATION,decodeunset" unset:"none" allow:"http://…, https://…, amqp:<exchange>/<routing key> or amqp:/<queue>" desc:"Where a message goes that has no destination and matches no subscription."`

	// HTTPSecrets are in the text form of Standard Webhooks, newest first.
	HTTPSecrets Secrets `env:"RELAY_HTTP_SECRET" unset:"requests are not signed" allow:"whsec_ and the base64 of 24 to 64 bytes; several separated by commas or spaces, newest first" desc:"Signs HTTP requests as Standard Webhooks says, with each secret; what rows send to a URL of their own, with secrets derived from these (relay secret)."`

	// HTTPTimeout bounds one attempt, from dial to the last byte read.
	HTTPTimeout time.Duration `env:"RELAY_HTTP_TIMEOUT,default=10s" allow:"a duration above 0 and at most 24h, such as 10s" desc:"Time for one HTTP attempt, from dial to the last byte of the answer."`

	HTTPConcurrency int `env:"RELAY_HTTP_CONCURRENCY,default=64" allow:"a whole number from 1 to 1000000" desc:"Requests under way at once, per destination."`

	// SubscriptionSecrets is for notify.ParseReferences, which has accepted it.
	SubscriptionSecrets string `env:"RELAY_SUBSCRIPTION_SECRETS" unset:"none" allow:"env:<name>, env:<beginning>*, file:/<path> and file:/<folder>/, separated by commas or spaces; no variable of the relay itself" desc:"Which variables and files headers and secrets of subscriptions may name instead of holding a value."`

	// HTTPTLS is for webhook.ParseCertificates, which has accepted it and read the files.
	HTTPTLS string `env:"RELAY_HTTP_TLS" unset:"the system's authorities, and no certificate of the relay's own" allow:"<hosts> ca=<file> cert=<file> key=<file>, separated by semicolons; hosts are a name, *.<name> or *; ca, or cert and key, or all three; files in PEM" desc:"Certificates by host; the first rule that matches counts. ca stands in place of the system's authorities; cert and key are shown to the targets of subscriptions and the default destination. Files are read again when they change."`

	// HTTPProxy is for webhook.ParseProxies, which has accepted it. It may hold passwords.
	HTTPProxy Secret `env:"RELAY_HTTP_PROXY" unset:"none; HTTP_PROXY and its like are ignored" allow:"http://[<user>:<password>@]<host>[:<port>], direct, or <hosts>= and one of these, separated by commas or spaces; hosts are a name, *.<name> or *" desc:"Proxy for HTTP targets; the first rule that matches a host counts, such as *.internal=direct http://proxy:3128."`

	// EgressAllow is for webhook.ParseEgress, which has accepted it.
	EgressAllow string `env:"RELAY_EGRESS_ALLOW" unset:"public addresses only" allow:"CIDRs, IP addresses, host names, and the words private and loopback, separated by commas or spaces" desc:"Where a URL in a row may lead besides public addresses. Targets set by the operator may be private anyway."`

	// RowDestinations is for notify.ParseRowTargets, which has accepted it.
	RowDestinations string `env:"RELAY_ROW_DESTINATIONS" unset:"every http and https URL, and exchanges and queues that exist" allow:"none, or patterns separated by commas or spaces, such as https://hooks.example/in, https://*.hooks.example:8443, https://*:*, amqp:events/order.# and amqp:/jobs.*" desc:"Where a row may send by a destination of its own. RELAY_EGRESS_ALLOW still decides about addresses. With none, rows that name a destination are rejected."`

	// Backoff has at least one interval, each above zero; the last repeats.
	Backoff Backoff `env:"RELAY_BACKOFF,default=5s,30s,2m,10m,30m,1h,3h,6h" allow:"durations above 0 and at most 8760h, separated by commas" desc:"Intervals between attempts, with jitter. The last repeats."`

	// MaxAttempts is at least 1.
	MaxAttempts int `env:"RELAY_MAX_ATTEMPTS,default=20" allow:"a whole number from 1 to 1000000" desc:"Attempts after which a delivery is dead."`

	GiveUpAfter time.Duration `env:"RELAY_GIVE_UP_AFTER,default=168h" allow:"a duration above 0 and at most 876000h, such as 168h" desc:"Time after a message was due at which a waiting delivery is dead, however few attempts it had."`

	Reconcile Groups `env:"RELAY_RECONCILE,default=0-63 every 5s limit 500" allow:"<shards> every <delay> [limit <rows>] or <shards> cron <five or six fields> [limit <rows>], separated by semicolons, each shard of 0 to 63 once" desc:"When the reconciler sweeps which shards, and how many rows one statement takes. Unless it is set, a relay without a stream sweeps every 500ms."`

	// ReconcileSet says that RELAY_RECONCILE was set, so that Reconcile holds without a stream too.
	ReconcileSet bool

	InFlight int `env:"RELAY_IN_FLIGHT,default=10000" allow:"a whole number from 1 to 1000000" desc:"Messages in memory at once. What is above waits in the table."`

	InFlightBytes Bytes `env:"RELAY_IN_FLIGHT_BYTES,default=64MiB" allow:"a size above 0 and at most 1024GiB, such as 64MiB or 500kB" desc:"Bytes of messages in memory at once: payload, headers, source and destination."`

	// MaxPayload is at most InFlightBytes.
	MaxPayload Bytes `env:"RELAY_MAX_PAYLOAD,default=1MiB" allow:"a size above 0, at most 1GiB and RELAY_IN_FLIGHT_BYTES, such as 1MiB" desc:"Largest message that is sent: payload, headers, source and destination. Larger ones are rejected."`

	// Retention of zero keeps all.
	Retention time.Duration `env:"RELAY_RETENTION,default=168h" allow:"a duration of at most 876000h, such as 168h; 0 keeps all" desc:"Age at which done and cancelled messages are removed. Dead and rejected ones stay until a person acts."`

	LeaseTTL time.Duration `env:"RELAY_LEASE_TTL,default=10s" allow:"a duration of 1s to 24h, such as 10s" desc:"Time after which the shards of a relay that fell silent pass to another."`

	ShutdownGrace time.Duration `env:"RELAY_SHUTDOWN_GRACE,default=20s" allow:"a duration above 0 and at most 24h, such as 20s" desc:"Time that deliveries under way have to end after SIGTERM."`

	AdminAddr Address `env:"RELAY_ADMIN_ADDR,default=127.0.0.1:8470" allow:"host:port, :port or off" desc:"Address of the message centre and its API."`

	AdminToken Secret `env:"RELAY_ADMIN_TOKEN" unset:"none" allow:"printable ASCII without spaces; required unless RELAY_ADMIN_ADDR is a loopback address or off" desc:"Token with which a person may see and change everything."`

	ViewerToken Secret `env:"RELAY_VIEWER_TOKEN" unset:"none" allow:"printable ASCII without spaces, not the same as RELAY_ADMIN_TOKEN" desc:"Token with which a person may see, but not change."`

	HidePayloads bool `env:"RELAY_HIDE_PAYLOADS,default=false" allow:"true or false" desc:"Hides payloads, headers, answers of receivers and errors that quote them from RELAY_VIEWER_TOKEN, and the search in them."`

	MetricsAddr Address `env:"RELAY_METRICS_ADDR,default=:9464" allow:"host:port, :port or off" desc:"Address of /metrics, /healthz and /readyz."`

	// AckURL has no slash at its end. It is set exactly when AckAddr is.
	AckURL AckURL `env:"RELAY_ACK_URL" unset:"none" allow:"an http:// or https:// URL without user, query and fragment, together with RELAY_ACK_ADDR" desc:"Address of RELAY_ACK_ADDR as HTTP consumers reach it. They acknowledge below it."`

	AckAddr Address `env:"RELAY_ACK_ADDR,default=off" allow:"host:port, :port or off, together with RELAY_ACK_URL" desc:"Address at which acknowledgements of HTTP consumers are taken."`

	LogLevel slog.Level `env:"RELAY_LOG_LEVEL,default=info" allow:"debug, info, warn or error" desc:"Least level that is logged."`

	LogFormat LogFormat `env:"RELAY_LOG_FORMAT,default=text" allow:"text or json" desc:"Form of the log on standard error."`
}

// ReadConfig reads the configuration from the variables of env; one that is empty counts
// as not set. The error is one line that names the variable, its value with secrets
// hidden, and what is allowed.
func ReadConfig(env map[string]string) (Config, error) {
	src := newSource(env)
	var c Config
	err := envconfig.ProcessWith(context.Background(), &envconfig.Config{Target: &c, Lookuper: src})
	if src.err != nil {
		return Config{}, src.err
	}
	if err != nil {
		var why reason
		errors.As(err, &why)
		return Config{}, src.fault(src.last, why)
	}
	_, c.ReconcileSet = src.Lookup("RELAY_RECONCILE")
	if name := src.read[databaseName].name; strings.HasSuffix(name, fileSuffix) {
		c.databaseFile, c.databaseFileName = env[name], name
	}
	if c.DatabasePasswordCommand != "" {
		c.password = &passwordCommand{line: string(c.DatabasePasswordCommand), limit: passwordLimit}
	}
	if name, why := c.check(); name != "" {
		return Config{}, src.fault(name, why)
	}
	return c, nil
}
