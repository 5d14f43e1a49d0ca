package webhook

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"relay/notify"
)

// Proxies says which hosts are reached by which proxy: RELAY_HTTP_PROXY. Nil means that there is none.
type Proxies struct{ rules []proxyRule }

type proxyRule struct {
	hosts hostPattern
	proxy *url.URL // nil: directly
}

// ParseProxies reads the rules of RELAY_HTTP_PROXY, separated by commas or white space. The first that
// matches a host decides:
//
//	http://proxy:3128                     every host
//	*.bank.example=http://user:pw@proxy   these hosts
//	*.internal=direct                     these hosts, without a proxy
//
// The error names the place of a bad rule and repeats no password.
func ParseProxies(s string) (*Proxies, error) {
	elements := strings.FieldsFunc(s, notify.IsSeparator)
	if len(elements) == 0 {
		return nil, nil
	}
	p := &Proxies{}
	for i, element := range elements {
		rule, err := parseProxyRule(element)
		if err != nil {
			return nil, fmt.Errorf("rule %d of %d: %w", i+1, len(elements), err)
		}
		p.rules = append(p.rules, rule)
	}
	return p, nil
}

func parseProxyRule(element string) (rule proxyRule, err error) {
	rule.hosts = "*"
	address := element
	if pattern, rest, found := strings.Cut(element, "="); found && !strings.Contains(pattern, "://") {
		if rule.hosts, err = parseHostPattern(pattern); err != nil {
			return rule, err
		}
		address = rest
	}
	if address == "direct" {
		return rule, nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || !canBeHost(u.Hostname()):
		return rule, errors.New("it is neither http://<host>:<port> nor direct; special characters in user and password are percent-encoded")
	case u.Scheme != "http":
		return rule, errors.New("a proxy is reached by http:// alone; TLS to the endpoint runs through its tunnel all the same")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return rule, errors.New("a proxy has neither path nor query")
	}
	rule.proxy = u
	return rule, nil
}

// of returns the proxy for a host. Nil means that it is reached directly.
func (p *Proxies) of(host string) *url.URL {
	if p == nil {
		return nil
	}
	for _, rule := range p.rules {
		if rule.hosts.matches(host) {
			return rule.proxy
		}
	}
	return nil
}
