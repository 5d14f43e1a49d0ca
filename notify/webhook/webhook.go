package webhook

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"relay/notify"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"relay"
)

// Defaults of Config's zero values.
const (
	defaultTimeout     = 10 * time.Second
	defaultConcurrency = 64
)

// Config configures the HTTP destination. The zero value works: it sends unsigned
// messages, and those of rows to public addresses only.
type Config struct {
	// Timeout bounds one attempt from the look-up of the name to the last byte read,
	// unless the subscriber has a bound of its own (RELAY_HTTP_TIMEOUT). Zero: 10 s.
	Timeout time.Duration
	// Concurrency is how many idle connections are kept to one origin; as many as
	// attempts are under way there, or most would open a new one
	// (RELAY_HTTP_CONCURRENCY). Zero: 64.
	Concurrency int
	// Secrets sign for every subscriber that has none, newest first (RELAY_HTTP_SECRET). For
	// rows with a destination of their own RowSecrets do.
	Secrets []string
	// AckURL is where consumers acknowledge, without a slash at its end (RELAY_ACK_URL), and
	// AckKey signs their tokens. Empty: they cannot.
	AckURL string
	AckKey relay.AckKey
	// Allowed reports whether a message of the shard may be sent now. It is asked when there is
	// a connection, however long that took. Nil: always.
	Allowed func(shard int16) bool
	// Egress opens addresses to rows with a destination of their own
	// (RELAY_EGRESS_ALLOW). Nil: public addresses only.
	Egress *Egress
	// RootCAs judge the certificates of endpoints. Nil: the system's.
	RootCAs *x509.CertPool
	// Resolver looks up the names of endpoints. Nil: the system's.
	Resolver *net.Resolver
	// Log receives the warning that messages are unsigned. Nil: nothing is logged.
	Log *slog.Logger
}

// Destination delivers messages by POST: CloudEvents 1.0 in binary mode, signed as Standard
// Webhooks 1.0.0 has it. Proxies named by the environment are ignored, redirects are not
// followed. It is safe for concurrent use; New makes one.
type Destination struct {
	cfg         Config
	keys        [][]byte
	log         *slog.Logger
	unsigned    sync.Once
	rootless    bool // this machine has no certificates of authorities
	connections connections
	directory   *directory
}

// New returns a destination for cfg. Its error says what is wrong with the secrets
// without repeating one.
func New(cfg Config) (*Destination, error) {
	keys, err := signingKeys(cfg.Secrets)
	if err != nil {
		return nil, fmt.Errorf("http destination: %w", err)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = defaultConcurrency
	}
	if cfg.Allowed == nil {
		cfg.Allowed = func(int16) bool { return true }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &Destination{keys: keys, log: cfg.Log, directory: newDirectory(cfg.Resolver)}
	if cfg.RootCAs == nil {
		cfg.RootCAs, h.rootless = systemRoots(cfg.Log)
	}
	h.cfg, h.connections = cfg, newConnections(cfg)
	return h, nil
}

// systemRoots reads the system's certificates of authorities. Left to the first handshake,
// they would be missing for ever if there were no free file descriptor at that moment.
func systemRoots(log *slog.Logger) (roots *x509.CertPool, none bool) {
	roots, err := x509.SystemCertPool()
	if err != nil || roots.Equal(x509.NewCertPool()) {
		log.Warn("there are no certificates of authorities on this machine: nothing can be sent to an https:// URL before they are installed (package ca-certificates) and the relay is started again", "error", err)
		return roots, true
	}
	return roots, false
}

// Close closes the idle connections. Call it when the last Deliver has returned.
func (h *Destination) Close() {
	h.connections.close()
}

// Deliver makes one attempt. The status line alone decides the class: an endpoint that
// said 2xx has done its work, whatever becomes of the rest of its answer. Time-outs and
// broken connections are push_failed and count, although the message may have arrived;
// its id is the same next time. Only where ctx itself ends, because the relay stops, is
// the outcome unknown and no attempt counted, or push_failed if no connection had been
// obtained and so no byte can have been sent. Where the message is no longer this relay's to
// send, it is parked without a reason, or unknown if it went out by the first of two tries.
func (h *Destination) Deliver(ctx context.Context, d *relay.Delivery) relay.Outcome {
	started := time.Now()
	if d.Unresolved() {
		return h.resolve(ctx, d, started)
	}
	out := h.attempt(ctx, d, started)
	out.Started = started
	out.Duration = max(time.Since(started), 1)
	if d.Pinned() && !out.Class.Accepted() {
		out.Gone = h.Gone(ctx, d)
	}
	return out
}

func (h *Destination) attempt(ctx context.Context, d *relay.Delivery, now time.Time) relay.Outcome {
	target := d.Subscriber.Target
	if target.Kind != relay.TargetHTTP {
		return relay.Outcome{Class: relay.ClassRejected, Cause: relay.CauseBadTarget, Error: "the target is no http or https URL"}
	}
	keys, err := h.keysFor(d.Subscriber)
	if err != nil {
		return relay.Outcome{Class: relay.ClassPushFailed, Blame: relay.BlameNone, Cause: relay.CauseSettings, Error: err.Error()}
	}
	header, err := requestHeader(d, keys, now)
	if err != nil {
		return relay.Outcome{Class: relay.ClassRejected, Cause: relay.CauseBadHeader, Error: err.Error()}
	}
	ackable := d.Subscriber.AckByConsumer && h.cfg.AckURL != ""
	if ackable {
		header.Set("Relay-Ack-Url", h.cfg.AckURL+AckPath+d.AckToken(h.cfg.AckKey))
	}
	timeout := h.cfg.Timeout
	if d.Subscriber.Timeout > 0 {
		timeout = d.Subscriber.Timeout
	}
	attempt, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p := &progress{stop: cancel, allowed: func() bool { return h.cfg.Allowed(d.Message.Shard) }}
	resp, err := h.post(p.watch(attempt), d, header)
	if err != nil {
		return failure{target: target, parent: ctx, attempt: attempt, timeout: timeout, progress: p, err: err, lack: notify.LackOf(err, h.rootless)}.outcome()
	}
	out := readAnswer(resp, target, now)
	if ackable && out.Code == http.StatusAccepted {
		out.Class = relay.ClassAwaitingAck
	}
	return out
}

// keysFor returns the keys that sign for the subscriber: its own, else those of the relay, or,
// where a row has named the target, keys that are derived from them. A bad secret is an error: sending
// unsigned what should be signed would only teach the receiver not to check.
func (h *Destination) keysFor(s *relay.Subscriber) ([][]byte, error) {
	if len(s.Secrets) > 0 {
		keys, err := signingKeys(s.Secrets)
		if err != nil {
			return nil, fmt.Errorf("cannot sign for subscription %q: %w", s.Name, err)
		}
		return keys, nil
	}
	if len(h.keys) == 0 {
		h.unsigned.Do(func() {
			h.log.Warn("messages are sent unsigned: neither the subscription nor RELAY_HTTP_SECRET has a secret",
				"subscription", s.Name)
		})
	}
	if !s.Trusted {
		return rowKeys(h.keys, s.Target)
	}
	return h.keys, nil
}

// post sends the request and returns when the answer's header has come.
func (h *Destination) post(ctx context.Context, d *relay.Delivery, header http.Header) (*http.Response, error) {
	req, err := newRequest(ctx, d, header)
	if err != nil {
		return nil, err
	}
	return h.connections.client(poolOf(d)).Do(req)
}

// newRequest returns the request of one attempt. An empty body is no body, so that
// Content-Length is 0 rather than unknown.
func newRequest(ctx context.Context, d *relay.Delivery, header http.Header) (*retryablehttp.Request, error) {
	target := d.Subscriber.Target
	plain := &http.Request{Method: http.MethodPost, URL: target.URL, Host: target.URL.Host, Header: header}
	req, err := retryablehttp.FromRequest(plain.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if len(d.Message.Body) > 0 {
		if err := req.SetBody(d.Message.Body); err != nil {
			return nil, err
		}
	}
	return req, nil
}
