package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// reloadAfter is how often files are looked at, as connections are made.
const reloadAfter = time.Second

// Certificates says with which certificates TLS is spoken to which hosts: RELAY_HTTP_TLS. Nil
// means the authorities of the system and no certificate of the relay's own. It is safe for
// concurrent use.
type Certificates struct{ rules []*tlsRule }

// tlsRule is one rule with what its files held when they were read last.
type tlsRule struct {
	hosts         hostPattern
	ca, cert, key string // files; empty: none

	mu      sync.Mutex
	looked  time.Time // when the files were looked at last
	seen    string    // their times and sizes then
	roots   *x509.CertPool
	own     *tls.Certificate
	failure string // why they could not be read again; empty: they could
}

// ParseCertificates reads the rules of RELAY_HTTP_TLS, separated by semicolons, and the files that
// they name. The first rule that matches a host decides:
//
//	*.bank.example ca=/etc/relay/bank.pem cert=/etc/relay/client.pem key=/etc/relay/client.key
//	* ca=/etc/relay/company.pem
//
// ca holds the authorities that judge the endpoint, in place of the system's; cert and key are the
// certificate that identifies the relay, with what leads to its authority.
func ParseCertificates(s string) (*Certificates, error) {
	c := &Certificates{}
	texts := strings.Split(s, ";")
	for i, text := range texts {
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		rule, err := parseTLSRule(fields)
		if err == nil {
			err = rule.load()
		}
		if err != nil {
			return nil, fmt.Errorf("rule %d of %d: %w", i+1, len(texts), err)
		}
		c.rules = append(c.rules, rule)
	}
	if len(c.rules) == 0 {
		return nil, nil
	}
	return c, nil
}

func parseTLSRule(fields []string) (rule *tlsRule, err error) {
	rule = &tlsRule{}
	if rule.hosts, err = parseHostPattern(fields[0]); err != nil {
		return nil, fmt.Errorf("it begins with a pattern for hosts, and %q is %w", fields[0], err)
	}
	files := map[string]*string{"ca": &rule.ca, "cert": &rule.cert, "key": &rule.key}
	for _, field := range fields[1:] {
		name, path, found := strings.Cut(field, "=")
		file := files[name]
		if file == nil || !found || path == "" || *file != "" {
			return nil, fmt.Errorf("%q is not one of ca=<file>, cert=<file> and key=<file>, each once", field)
		}
		*file = path
	}
	if (rule.cert == "") != (rule.key == "") || rule.ca == "" && rule.cert == "" {
		return nil, errors.New("it needs ca=<file>, or cert=<file> and key=<file> together")
	}
	return rule, nil
}

// load reads the files. After an error the rule keeps what it had.
func (r *tlsRule) load() error {
	seen := r.state()
	var roots *x509.CertPool
	var own *tls.Certificate
	if r.ca != "" {
		content, err := os.ReadFile(r.ca)
		if err != nil {
			return fmt.Errorf("ca: %w", err)
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(content) {
			return fmt.Errorf("ca: %s holds no certificate in PEM", r.ca)
		}
	}
	if r.cert != "" {
		pair, err := tls.LoadX509KeyPair(r.cert, r.key)
		if err != nil {
			return fmt.Errorf("cert and key: %w", err)
		}
		own = &pair
	}
	r.roots, r.own, r.seen, r.looked = roots, own, seen, time.Now()
	return nil
}

// state tells the files of one moment from those of another.
func (r *tlsRule) state() string {
	var b strings.Builder
	for _, file := range []string{r.ca, r.cert, r.key} {
		if file == "" {
			continue
		}
		if info, err := os.Stat(file); err == nil {
			fmt.Fprintf(&b, "%d %d\n", info.ModTime().UnixNano(), info.Size())
		} else {
			b.WriteString("missing\n")
		}
	}
	return b.String()
}

// current returns what the files hold, which it reads again if they have changed. While they cannot be
// read, as in the middle of a change, it returns what they held before.
func (r *tlsRule) current(log *slog.Logger) (roots *x509.CertPool, own *tls.Certificate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.looked) >= reloadAfter {
		r.looked = now
		if r.state() != r.seen {
			r.reload(log)
		}
	}
	return r.roots, r.own
}

func (r *tlsRule) reload(log *slog.Logger) {
	if err := r.load(); err != nil {
		if r.failure != err.Error() {
			r.failure = err.Error()
			log.Warn("certificates cannot be read again; the ones read before stay in use", "variable", "RELAY_HTTP_TLS", "hosts", string(r.hosts), "error", err)
		}
		return
	}
	r.failure = ""
	log.Info("certificates were read again", "variable", "RELAY_HTTP_TLS", "hosts", string(r.hosts))
}

// tlsFor returns how TLS is spoken to a host. What a row names never gets the relay's own
// certificate: a role that may write rows would act by the relay's rights.
func (cfg *Config) tlsFor(host string, trusted bool) *tls.Config {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs, ServerName: strings.TrimSuffix(host, "."), NextProtos: []string{"h2", "http/1.1"},
	}
	if cfg.Certificates == nil {
		return config
	}
	for _, rule := range cfg.Certificates.rules {
		if !rule.hosts.matches(host) {
			continue
		}
		roots, own := rule.current(cfg.Log)
		if roots != nil {
			config.RootCAs = roots
		}
		if own != nil && trusted {
			config.Certificates = []tls.Certificate{*own}
		}
		return config
	}
	return config
}
