package access

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// burst is how many wrong tokens all addresses together may try at once; after that they may try one a second.
	burst  = 10
	refill = time.Second
	// longestWait caps the delay of one address, which doubles with each wrong token from a second on.
	longestWait = 30 * time.Second
	// knownFor is how long an address counts as known after a right token: the bucket of all does not hold it up.
	knownFor = 12 * time.Hour
	// mostAddresses bounds the addresses that are remembered. Beyond it the brake forgets the
	// address that it saw longest ago.
	mostAddresses = 4096
)

// brake slows down guessing: one bucket for all addresses, and a delay for each that doubles.
type brake struct {
	mu        sync.Mutex
	tokens    float64
	filled    time.Time
	addresses map[string]*attempts
}

// attempts is what one address did.
type attempts struct {
	wrong int       // since the last right token
	next  time.Time // no token is checked before this time
	right time.Time // the last right token; zero: none
	seen  time.Time
}

func newBrake() *brake { return &brake{tokens: burst, addresses: make(map[string]*attempts)} }

// ask returns how long an address has to wait before its next token is checked. Zero means that it is checked now.
func (b *brake) ask(address string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.addresses[group(address)]
	if a != nil && now.Before(a.next) {
		return a.next.Sub(now)
	}
	b.fill(now)
	if b.tokens >= 1 || a != nil && !a.right.IsZero() && now.Sub(a.right) < knownFor {
		return 0
	}
	return time.Duration((1 - b.tokens) * float64(refill))
}

// failed notes a wrong token.
func (b *brake) failed(address string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	b.tokens = max(b.tokens-1, 0)
	a := b.of(address, now)
	a.wrong++
	a.next = now.Add(min(time.Second<<min(a.wrong-1, 10), longestWait))
}

// succeeded notes a right token.
func (b *brake) succeeded(address string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.of(address, now)
	a.wrong, a.next, a.right = 0, time.Time{}, now
}

// fill adds what time has added to the bucket. The caller holds the mutex.
func (b *brake) fill(now time.Time) {
	if !b.filled.IsZero() {
		b.tokens = min(b.tokens+float64(now.Sub(b.filled))/float64(refill), burst)
	}
	b.filled = now
}

// of returns the entry of an address, and makes room for it. The caller holds the mutex.
func (b *brake) of(address string, now time.Time) *attempts {
	name := group(address)
	a := b.addresses[name]
	if a == nil {
		if len(b.addresses) >= mostAddresses {
			b.forget()
		}
		a = new(attempts)
		b.addresses[name] = a
	}
	a.seen = now
	return a
}

func (b *brake) forget() {
	var oldest string
	for name, a := range b.addresses {
		if oldest == "" || a.seen.Before(b.addresses[oldest].seen) {
			oldest = name
		}
	}
	delete(b.addresses, oldest)
}

// group is what counts as one address: of IPv6 the network of 64 bits, which one machine may have for itself.
func group(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Unmap().Is4() {
		return address
	}
	network, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return network.String()
}
