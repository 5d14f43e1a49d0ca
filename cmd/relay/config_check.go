package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay"
	"relay/notify"
	"relay/notify/amqp"
	"relay/notify/webhook"
)

// check judges what a decoder cannot: bounds, and variables that depend on each other. It
// also fills in the source. It returns the first variable at fault and why, or nothing.
func (c *Config) check() (name string, why reason) {
	for _, step := range []func() (string, reason){
		c.checkDatabase, c.checkBroker, c.checkDestination, c.checkNames, c.checkBounds, c.checkEgress, c.checkTokens, c.checkAck,
	} {
		if name, why = step(); name != "" {
			return name, why
		}
	}
	return "", ""
}

func (c *Config) checkDatabase() (string, reason) {
	clean, dropped, why := cleanDatabase(string(c.DatabaseURL))
	if why != "" {
		return databaseName, why
	}
	c.DatabaseURL, c.DroppedParameters = Secret(clean), dropped
	pool, err := pgxpool.ParseConfig(string(c.DatabaseURL))
	if err != nil {
		return databaseName, databaseReason(string(c.DatabaseURL), err)
	}
	if strings.Contains(pool.ConnConfig.Host, "@") { // as libpq reads it; shown as a host, it would give a part of the password away
		return databaseName, "an @ in user or password is written %40"
	}
	if command := string(c.DatabasePasswordCommand); command != "" && strings.TrimSpace(command) == "" {
		return "RELAY_DATABASE_PASSWORD_COMMAND", "it is empty"
	}
	if c.Source == "" {
		c.Source = pool.ConnConfig.Database
	}
	if c.Source == "" {
		c.Source = pool.ConnConfig.User // the server's own rule for a missing database
	}
	return "", ""
}

// databaseReason returns the innermost words of a refused connection string, such as that
// a certificate cannot be read, where its parts are known to be no secret; else what is mostly the matter.
func databaseReason(value string, err error) reason {
	text := err.Error()
	if inner := errors.Unwrap(err); inner != nil {
		text = strings.ReplaceAll(inner.Error(), "\n", " ")
	} else if _, last, found := strings.Cut(text, "`: "); found { // the driver repeats the URL before it
		text = last
	}
	u, parseErr := url.Parse(value)
	switch {
	case strings.Contains(text, "sslmode is invalid"):
		return "sslmode is invalid: write disable, allow, prefer, require, verify-ca or verify-full"
	case strings.Contains(text, "target_session_attrs value"):
		return "target_session_attrs is invalid: write read-write, primary or any"
	case errors.As(err, new(*fs.PathError)), strings.HasPrefix(text, "failed to read service file"): // they name files alone
		return reason(text)
	case !isPostgres.MatchString(value) && !strings.Contains(value, "="): // neither a URL nor keywords
		return ""
	case !isPostgres.MatchString(value):
		return "in a string of keywords, a value with spaces stands in single quotes, with \\ before a quote or a backslash"
	case parseErr != nil || !printableURL(value, u):
		return "in user and password, special characters are percent-encoded: % is %25, / is %2F, : is %3A, ? is %3F, # is %23, @ is %40"
	}
	return reason(text)
}

func (c *Config) checkBroker() (string, reason) {
	if c.AMQPURL != "" {
		if err := amqp.CheckURL(string(c.AMQPURL)); err != nil {
			return "RELAY_AMQP_URL", reason(err.Error())
		}
	}
	return "", ""
}

// checkDestination refuses a default destination to which this relay cannot send.
func (c *Config) checkDestination() (string, reason) {
	if c.DefaultDestination.Kind == relay.TargetNone {
		return "", ""
	}
	technology, err := registry(*c).Of(c.DefaultDestination.Target)
	if err == nil {
		err = technology.Missing
	}
	if err != nil {
		return "RELAY_DEFAULT_DESTINATION", reason(err.Error())
	}
	return "", ""
}

func (c *Config) checkNames() (string, reason) {
	switch {
	case len(c.Source) > relay.MaxShortString:
		return "RELAY_SOURCE", "longer than 255 bytes"
	case strings.ContainsFunc(c.Source, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return "RELAY_SOURCE", "it holds a control character"
	case !isSlotName(c.Slot):
		return "RELAY_SLOT", ""
	case !isSlotName(c.Publication):
		return "RELAY_PUBLICATION", ""
	}
	return "", ""
}

// isSlotName tells by PostgreSQL's rule for replication slots, which publications obey
// here too, so that their name needs no quotes anywhere.
func isSlotName(s string) bool {
	return s != "" && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// minLeaseTTL leaves a relay that renews its leases several times a second the time to do so.
const minLeaseTTL = time.Second

// Times above these, and numbers, are taken for mistakes: PostgreSQL and Go count both in
// types that end somewhere, and a relay that waits for centuries looks like one that hangs.
const (
	maxAttemptTime = 24 * time.Hour             // for times that a caller waits for
	maxPeriod      = 100 * 365 * 24 * time.Hour // for times that are only compared with a clock
	maxInterval    = 365 * 24 * time.Hour       // as subscriptions have it
	maxCount       = 1_000_000
	maxConnections = 1_000
	maxBytes       = 1 << 40
)

// between reports whether a value is above zero and at most most.
func between[T int | Bytes | time.Duration](v, most T) bool { return v > 0 && v <= most }

func (c *Config) checkBounds() (string, reason) {
	bounds := []struct {
		name string
		ok   bool
	}{
		{"RELAY_DATABASE_CONNECTIONS", c.DatabaseConnections >= 2 && c.DatabaseConnections <= maxConnections},
		{"RELAY_HTTP_TIMEOUT", between(c.HTTPTimeout, maxAttemptTime)},
		{"RELAY_HTTP_CONCURRENCY", between(c.HTTPConcurrency, maxCount)},
		{"RELAY_BACKOFF", slices.Max(c.Backoff) <= maxInterval},
		{"RELAY_MAX_ATTEMPTS", between(c.MaxAttempts, maxCount)},
		{"RELAY_GIVE_UP_AFTER", between(c.GiveUpAfter, maxPeriod)},
		{"RELAY_IN_FLIGHT", between(c.InFlight, maxCount)},
		{"RELAY_IN_FLIGHT_BYTES", between(c.InFlightBytes, maxBytes)},
		{"RELAY_MAX_PAYLOAD", between(c.MaxPayload, 1<<30)},
		{"RELAY_RETENTION", c.Retention == 0 || between(c.Retention, maxPeriod)},
		{"RELAY_LEASE_TTL", c.LeaseTTL >= minLeaseTTL && c.LeaseTTL <= maxAttemptTime},
		{"RELAY_SHUTDOWN_GRACE", between(c.ShutdownGrace, maxAttemptTime)},
	}
	for _, b := range bounds {
		if !b.ok {
			return b.name, "out of range"
		}
	}
	if c.MaxPayload > c.InFlightBytes {
		return "RELAY_MAX_PAYLOAD", "larger than RELAY_IN_FLIGHT_BYTES, so that such a message would never fit"
	}
	return "", ""
}

func (c *Config) checkEgress() (string, reason) {
	if _, err := notify.ParseReferences(c.SubscriptionSecrets); err != nil {
		return "RELAY_SUBSCRIPTION_SECRETS", reason(err.Error())
	}
	if _, err := webhook.ParseCertificates(c.HTTPTLS); err != nil {
		return "RELAY_HTTP_TLS", reason(err.Error())
	}
	if _, err := webhook.ParseProxies(string(c.HTTPProxy)); err != nil {
		return "RELAY_HTTP_PROXY", reason(err.Error())
	}
	if _, err := webhook.ParseEgress(c.EgressAllow); err != nil {
		return "RELAY_EGRESS_ALLOW", reason(err.Error())
	}
	if _, err := notify.ParseRowTargets(c.RowDestinations, registry(*c)); err != nil {
		return "RELAY_ROW_DESTINATIONS", reason(err.Error())
	}
	return "", ""
}

func (c *Config) checkTokens() (string, reason) {
	switch {
	case !isToken(c.AdminToken):
		return "RELAY_ADMIN_TOKEN", ""
	case !isToken(c.ViewerToken):
		return "RELAY_VIEWER_TOKEN", ""
	case c.ViewerToken != "" && c.ViewerToken == c.AdminToken:
		return "RELAY_VIEWER_TOKEN", "the same as RELAY_ADMIN_TOKEN"
	case c.AdminToken == "" && c.AdminAddr != "" && !c.AdminAddr.Loopback():
		return "RELAY_ADMIN_TOKEN", reason(fmt.Sprintf("RELAY_ADMIN_ADDR %s is not a loopback address", quote(string(c.AdminAddr))))
	}
	return "", ""
}

// isToken reports whether a token can stand in a header. An empty one is no token, and fine.
func isToken(s Secret) bool {
	return !strings.ContainsFunc(string(s), func(r rune) bool { return r <= 0x20 || r >= 0x7f })
}

func (c *Config) checkAck() (string, reason) {
	if c.AckURL == "" {
		if c.AckAddr != "" {
			return "RELAY_ACK_URL", "RELAY_ACK_ADDR, which is set, needs it"
		}
		return "", ""
	}
	if c.AckAddr == "" {
		return "RELAY_ACK_ADDR", "RELAY_ACK_URL, which is set, needs it"
	}
	return "", ""
}
