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

// These are the defaults of Config's zero values.
const (
	defaultTimeout     = 10 * time.Second
	defaultConcurrency = 64
)

// Config configures the HTTP destination. The zero value works: it sends unsigned
// messages, and those of rows to public addresses only.
type Config struct {
	// Timeout bounds one attempt from the look-up of the name to the last byte read, unless the
	// subscriber has a bound of its own (RELAY_HTTP_TIMEOUT). Zero means 10 s.
	Timeout time.Duration
	// Concurrency is how many idle connections are kept to one origin; as many as attempts are
	// under way there, or most would open a new one (RELAY_HTTP_CONCURRENCY). Zero means 64.
	Concurrency int
	// Secrets sign for every subscriber that has none, newest first (RELAY_HTTP_SECRET). For
	// rows with a destination of their own RowSecrets do.
	Secrets []string
	// AckURL is where consumers acknowledge, without a slash at its end (RELAY_ACK_URL), and
	// AckKey signs their tokens. It is empty if they cannot.
	AckURL string
	AckKey relay.AckKey
	// Allowed reports whether a message of the shard may be sent now. It is asked when there is a
	// connection, however long that took. Nil means that it always may.
	Allowed func(shard int16) bool
	// Egress opens addresses to rows with a destination of their own (RELAY_EGRESS_ALLOW). Nil
	// allows public addresses only.
	Egress *Egress
	// RootCAs judge the certificates of endpoints. Nil means the system's.
	RootCAs *x509.CertPool
	// Certificates say with which certificates TLS is spoken to which hosts (RELAY_HTTP_TLS). Nil
	// means RootCAs and no certificate of the relay's own.
	Certificates *Certificates
	// Proxies say which hosts are reached by a proxy (RELAY_HTTP_PROXY). Nil means that there is none.
	Proxies *Proxies
	// Resolver looks up the names of endpoints. Nil means the system's.
	Resolver *net.Resolver
	// Log receives the warning that messages are unsigned. Nil means that nothing is logged.
	Log *slog.Logger
}

// Destination delivers messages by POST: CloudEvents 1.0 in binary mode, signed as Standard
// Webhooks 1.0.0 has it. The generic variables for proxies are ignored, redirects are not
// followed. It is safe for concurrent use; New makes one.
type Destination struct {
	cfg         Config
	keys        [][]byte
	log         *slog.Logger
	unsigned    sync.Once
	rootless    bool // this machine has no certificates of authorities
	connections connections
	directory   *directory
	tokens      tokens
}

// New returns a destination for cfg. Its error says what is wrong with the secrets
// without repeating one.
func New(cfg Config) (*Destination, error) {
	keys, err := relay.SigningKeys(cfg.Secrets)
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
	if d.Subscriber.Target.Kind != relay.TargetHTTP {
		return relay.Outcome{Class: relay.ClassRejected, Cause: relay.CauseBadTarget, Error: "the target is no http or https URL"}
	}
	timeout := h.cfg.Timeout
	if d.Subscriber.Timeout > 0 {
		timeout = d.Subscriber.Timeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t := try{parent: ctx, limited: limited, stop: cancel, timeout: timeout, now: now}
	g, err := grantOf(d.Subscriber)
	switch {
	case err != nil:
		return relay.Outcome{Class: relay.ClassPushFailed, Cause: relay.CauseSettings, Blame: relay.BlameNone, Error: err.Error()}
	case g != nil:
		return h.tryWithToken(t, d, g)
	}
	return h.try(t, d)
}

// try is one request of an attempt; with a token there may be two.
type try struct {
	parent  context.Context // ended: the relay stops
	limited context.Context // ended as well: the time of the attempt is over, or stop was called
	stop    context.CancelFunc
	timeout time.Duration // of the attempt
	now     time.Time
}

// tryWithToken sends the request with a token. The endpoint may refuse one that has not expired, as
// after a change of its keys: a 401 has one new token fetched and the request sent once more, within the
// same attempt.
func (h *Destination) tryWithToken(t try, d *relay.Delivery, g *grant) relay.Outcome {
	token, err := h.token(t.limited, g, nil)
	if err != nil {
		return h.noToken(t, d, err)
	}
	out := h.try(t, withToken(d, token))
	if out.Code != http.StatusUnauthorized {
		return out
	}
	if token, err = h.token(t.limited, g, token); err != nil {
		return h.noToken(t, d, err)
	}
	return h.try(t, withToken(d, token))
}

// noToken is the outcome where nothing was sent, or nothing but what was refused.
func (h *Destination) noToken(t try, d *relay.Delivery, err error) relay.Outcome {
	text := fmt.Sprintf("POST %s: %s", d.Subscriber.Target.Redacted(), err)
	if lack := notify.LackOf(err, h.rootless); lack != relay.ResourceNone {
		return notify.Lacking(lack, false, text)
	}
	blame := relay.BlameOrigin
	if t.parent.Err() != nil {
		blame = relay.BlameNone
	}
	return relay.Outcome{Class: relay.ClassPushFailed, Cause: relay.CauseSettings, Blame: blame, Error: text}
}

func (h *Destination) try(t try, d *relay.Delivery) relay.Outcome {
	target := d.Subscriber.Target
	keys, err := h.keysFor(d.Subscriber)
	if err != nil {
		return relay.Outcome{Class: relay.ClassPushFailed, Blame: relay.BlameNone, Cause: relay.CauseSettings, Error: err.Error()}
	}
	header, err := requestHeader(d, keys, t.now)
	if err != nil {
		return relay.Outcome{Class: relay.ClassRejected, Cause: relay.CauseBadHeader, Error: err.Error()}
	}
	ackable := d.Subscriber.AckByConsumer && h.cfg.AckURL != ""
	if ackable {
		header.Set("Relay-Ack-Url", h.cfg.AckURL+AckPath+d.AckToken(h.cfg.AckKey))
	}
	p := &progress{stop: t.stop, allowed: func() bool { return h.cfg.Allowed(d.Message.Shard) }}
	resp, err := h.post(p.watch(t.limited), d, header)
	if err != nil {
		return failure{target: target, parent: t.parent, attempt: t.limited, timeout: t.timeout, progress: p, err: err, lack: notify.LackOf(err, h.rootless)}.outcome()
	}
	out := readAnswer(resp, target, t.now)
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
		keys, err := relay.SigningKeys(s.Secrets)
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
