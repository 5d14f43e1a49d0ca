package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"relay/notify"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"relay"
)

const (
	// lookAgainAfter is how long the answer about a host name is used, a failure too.
	lookAgainAfter = 2 * time.Second
	// lookUpTimeout bounds one look-up.
	lookUpTimeout = 3 * time.Second
	// maxHosts bounds the host names that are remembered.
	maxHosts = 1024
)

// directory looks up the addresses behind host names, each name at most once in
// lookAgainAfter however many deliveries ask. It is safe for concurrent use.
type directory struct {
	resolver *net.Resolver

	mu    sync.Mutex
	hosts map[string]*listing // by name as foldHost writes it
}

// listing is the answer about one host name. What follows done is read once it is closed.
type listing struct {
	done  chan struct{}
	addrs []netip.Addr // sorted, each once
	err   error
	at    time.Time // when the answer came
}

// newDirectory returns a directory that asks the resolver, the system's if it is nil.
func newDirectory(r *net.Resolver) *directory {
	if r == nil {
		r = net.DefaultResolver
	}
	return &directory{resolver: r, hosts: make(map[string]*listing)}
}

// lookUp returns the addresses of a host name, at least one unless there is an error.
func (d *directory) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	host = foldHost(host)
	d.mu.Lock()
	l := d.hosts[host]
	if l == nil || l.stale(time.Now()) {
		if len(d.hosts) >= maxHosts {
			d.forget()
		}
		l = &listing{done: make(chan struct{})}
		d.hosts[host] = l
		go d.ask(host, l)
	}
	d.mu.Unlock()
	select {
	case <-l.done:
		return l.addrs, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ask fills a listing. It outlives the first caller, since other callers may wait for it too.
func (d *directory) ask(host string, l *listing) {
	ctx, cancel := context.WithTimeout(context.Background(), lookUpTimeout)
	defer cancel()
	defer close(l.done)
	found, err := d.resolver.LookupNetIP(ctx, "ip", host)
	l.at = time.Now()
	if l.err = err; err != nil {
		if lack := notify.LackOf(err, false); lack != relay.ResourceNone {
			l.err = notify.LackError{Lack: lack} // it says nothing about the name
		}
		return
	}
	for _, addr := range found {
		l.addrs = append(l.addrs, addr.Unmap())
	}
	slices.SortFunc(l.addrs, netip.Addr.Compare)
	l.addrs = slices.Compact(l.addrs)
	if len(l.addrs) == 0 {
		l.err = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
}

// stale reports whether the name has to be looked up again. An answer that is under way is
// not.
func (l *listing) stale(now time.Time) bool {
	select {
	case <-l.done:
		return now.Sub(l.at) >= lookAgainAfter
	default:
		return false
	}
}

// forget drops what is stale. The caller holds the mutex.
func (d *directory) forget() {
	now := time.Now()
	for host, l := range d.hosts {
		if l.stale(now) {
			delete(d.hosts, host)
		}
	}
}

// resolve is the attempt for a delivery whose instances are not known yet. A failure counts
// as one to reach the subscriber, except while it is paused, when nothing is lost by asking
// again later.
func (h *Destination) resolve(ctx context.Context, d *relay.Delivery, started time.Time) relay.Outcome {
	target := d.Subscriber.Target
	if !canBeHost(target.URL.Hostname()) {
		return relay.Outcome{Class: relay.ClassPushFailed, Blame: relay.BlameNone, Cause: relay.CauseDNS, Error: fmt.Sprintf("POST %s: %s", target.Redacted(), errHostName)}
	}
	addrs, err := h.directory.lookUp(ctx, target.URL.Hostname())
	switch {
	case err != nil && ctx.Err() != nil:
		return relay.Outcome{Class: relay.ClassParked}
	case err != nil && d.Subscriber.Paused:
		return relay.Outcome{Class: relay.ClassParked, Reason: relay.ReasonPaused}
	}
	if lack := notify.LackOf(err, false); lack != relay.ResourceNone {
		return notify.Lacking(lack, false, fmt.Sprintf("POST %s: %s", target.Redacted(), notify.ExplainLack(lack)))
	}
	out := relay.Outcome{Class: relay.ClassResolved, Started: started, Duration: max(time.Since(started), 1)}
	if err != nil {
		out.Class, out.Blame, out.Cause = relay.ClassPushFailed, relay.BlameOrigin, relay.CauseNoAddress
		out.Error = fmt.Sprintf("POST %s: the host name %s", target.Redacted(), explainLookUp(target.URL.Hostname(), err))
		return out
	}
	for _, addr := range addrs {
		out.Instances = append(out.Instances, netip.AddrPortFrom(addr, portOf(target)).String())
	}
	return out
}

func explainLookUp(host string, err error) string {
	var dns *net.DNSError
	switch {
	case isTimeout(err):
		return fmt.Sprintf("%s was not resolved within %v", host, lookUpTimeout)
	case errors.As(err, &dns):
		return fmt.Sprintf("%s does not resolve to the address of any instance: %s", host, dns.Err)
	}
	return fmt.Sprintf("%s does not resolve: %v", host, err)
}

// Gone reports whether the host name of a pinned delivery's target certainly does not resolve to
// its instance any more. A look-up that fails proves nothing; a name that does not exist does.
func (h *Destination) Gone(ctx context.Context, d *relay.Delivery) bool {
	target := d.Subscriber.Target
	instance, err := netip.ParseAddrPort(d.Instance)
	if target.Kind != relay.TargetHTTP || err != nil {
		return false
	}
	addrs, err := h.directory.lookUp(ctx, target.URL.Hostname())
	var dns *net.DNSError
	if err != nil {
		return errors.As(err, &dns) && dns.IsNotFound
	}
	return !slices.Contains(addrs, instance.Addr())
}

// portOf is the port of an HTTP target, whose text ParseTarget has judged.
func portOf(t relay.Target) uint16 {
	if port, err := strconv.ParseUint(t.URL.Port(), 10, 16); err == nil {
		return uint16(port)
	}
	if strings.EqualFold(t.URL.Scheme, "https") {
		return 443
	}
	return 80
}
