package webhook

import (
	"errors"
	"strings"
)

// hostPattern stands for hosts: a name or an address, *.name for all that is below a name, or * for
// every host.
type hostPattern string

// parseHostPattern reads a pattern. Its error never repeats it.
func parseHostPattern(text string) (hostPattern, error) {
	host := foldHost(text)
	name := strings.TrimPrefix(host, "*.")
	if host != "*" && !canBeHost(name) {
		return "", errors.New("neither a host name, an IP address, *.<name>, nor *")
	}
	return hostPattern(host), nil
}

func (p hostPattern) matches(host string) bool {
	host = foldHost(host)
	if below, found := strings.CutPrefix(string(p), "*"); found {
		return strings.HasSuffix(host, below)
	}
	return host == string(p)
}
