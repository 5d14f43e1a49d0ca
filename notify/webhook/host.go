package webhook

import (
	"errors"
	"net/netip"
)

// errHostName is why nothing is looked up for a name that no host can have.
var errHostName = errors.New("the URL's host is neither an address nor a name that a host can have")

// canBeHost reports whether the host of a URL can be looked up at all. Names outside ASCII
// have been encoded before they are dialled.
func canBeHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return isHostName(foldHost(host))
}
