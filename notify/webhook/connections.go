package webhook

import (
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"relay"
)

const (
	// maxPools bounds the origins whose connections are kept, those of operators and those
	// that rows name each; rows may name any number.
	maxPools = 256
	// idleTimeout is shorter than the minute or more after which most servers and load
	// balancers close, so that as a rule it is this side that closes first.
	idleTimeout = 30 * time.Second
	// connectTimeout ends dials and handshakes that outlive their attempt: net/http goes on
	// with them for the sake of the next request.
	connectTimeout = 30 * time.Second
	// maxAnswerHeader bounds the header of an answer, in bytes.
	maxAnswerHeader = 64 << 10
)

// connections holds a pool of connections per origin, trust and instance: a connection dialled
// for the operator's target must not serve a row's.
type connections struct {
	cfg   Config
	mu    sync.Mutex
	pools map[poolKey]*pool
	uses  uint64
}

type poolKey struct {
	origin  string
	trusted bool
	// instance is the address that is dialled instead of the origin's. Empty means that there is none.
	instance string
}

// poolOf names the pool for a delivery.
func poolOf(d *relay.Delivery) poolKey {
	key := poolKey{origin: d.Subscriber.Target.Origin(), trusted: d.Subscriber.Trusted}
	if d.Pinned() {
		key.instance = d.Instance
	}
	return key
}

type pool struct {
	client   *retryablehttp.Client
	lastUsed uint64 // of connections.uses
}

func (p *pool) closeIdle() {
	t := p.client.HTTPClient.Transport.(transport)
	t.pooled.CloseIdleConnections()
	t.direct.CloseIdleConnections()
}

func newConnections(cfg Config) connections {
	return connections{cfg: cfg, pools: make(map[poolKey]*pool)}
}

// client returns the client of a pool. Beyond maxPools it lets go of the pool that was used
// longest ago, whose connections close as they fall idle.
func (c *connections) client(key poolKey) *retryablehttp.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pools[key]
	if p == nil {
		if c.count(key.trusted) >= maxPools {
			c.evict(key.trusted)
		}
		p = &pool{client: c.newClient(key)}
		c.pools[key] = p
	}
	c.uses++
	p.lastUsed = c.uses
	return p.client
}

// count returns how many pools there are for targets of operators, or of rows.
func (c *connections) count(trusted bool) (n int) {
	for key := range c.pools {
		if key.trusted == trusted {
			n++
		}
	}
	return n
}

// evict lets go of a pool. What rows name costs no target of an operator its connections.
func (c *connections) evict(trusted bool) {
	var oldest poolKey
	least := c.uses + 1
	for key, p := range c.pools {
		if key.trusted == trusted && p.lastUsed < least {
			oldest, least = key, p.lastUsed
		}
	}
	c.pools[oldest].closeIdle()
	delete(c.pools, oldest)
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, p := range c.pools {
		p.closeIdle()
		delete(c.pools, key)
	}
}

// newClient returns a client that retries at most once, at once, and only as mayRetry
// says: waiting and every other retry belong to the table, where they can be seen.
func (c *connections) newClient(key poolKey) *retryablehttp.Client {
	way, pooled := c.routeTo(key), c.newTransport(key)
	return &retryablehttp.Client{
		HTTPClient: &http.Client{Transport: transport{
			direct: newDirect(way.dial, c.cfg.Concurrency), pooled: pooled, proxied: way.proxy != nil,
		}},
		RetryMax:     1,
		CheckRetry:   mayRetry,
		Backoff:      func(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return 0 },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
		PrepareRetry: noteRetry,
	}
}

func (c *connections) newTransport(key poolKey) *http.Transport {
	way := c.routeTo(key)
	return &http.Transport{
		Proxy:                  way.proxyForPlain,
		DialContext:            way.dialPlain,
		DialTLSContext:         way.dialTLS,
		MaxIdleConnsPerHost:    c.cfg.Concurrency,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // an answer is kept as it comes, and never blown up
		ForceAttemptHTTP2:      true,
		// Without pings a connection that leads nowhere any more would be used for minutes.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// transport makes the exchanges of a pool. It hides where a redirect leads: http.Client's own
// switch would still make an error of an answer whose Location is malformed.
//
// It has no CloseIdleConnections, which go-retryablehttp would call after every failed request:
// net/http takes a connection for idle a moment before it hands the answer over, and another
// request's answer that has come would be lost.
type transport struct {
	// direct makes the exchanges that it takes: those without TLS and with a short body.
	direct *direct
	// pooled makes the others. A retry gets a connection of its own: the other idle ones are likely to
	// be as dead as the one that failed.
	pooled *http.Transport
	// proxied says that exchanges go by a proxy.
	proxied bool
}

// RoundTrip makes one exchange.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.exchange(req)
	if err == nil {
		resp.Header.Del("Location")
	}
	return resp, err
}

func (t transport) exchange(req *http.Request) (*http.Response, error) {
	p := progressOf(req.Context())
	again := p != nil && p.again.Load()
	switch {
	case !t.proxied && t.direct.takes(req):
		if again {
			req = req.WithContext(req.Context()) // a copy: a RoundTripper leaves the request as it is
			req.Close = true
		}
		return t.direct.RoundTrip(req)
	case again:
		return t.alone(req)
	}
	return t.overPool(req)
}
