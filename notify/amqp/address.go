package amqp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// address is one way to the broker. The library reads its certificates anew for each connection.
type address struct {
	url string // with user and password: never shown
	uri amqp091.URI
}

// String returns the address without user, password and parameters.
func (a address) String() string {
	shown := a.uri.Scheme + "://" + a.hostPort()
	if a.uri.Vhost != "/" {
		shown += "/" + url.PathEscape(a.uri.Vhost)
	}
	return shown
}

func (a address) hostPort() string { return net.JoinHostPort(a.uri.Host, strconv.Itoa(a.uri.Port)) }

// external reports whether the client certificate identifies the relay.
func (a address) external() bool {
	return len(a.uri.AuthMechanism) > 0 && strings.EqualFold(a.uri.AuthMechanism[0], "external")
}

// nextAddress matches what stands between two addresses: a comma, or what Celery and others write, a semicolon or
// white space. Each of them may stand in a password.
var nextAddress = regexp.MustCompile(`[\s,;]+(amqps?://)`)

// around is what may stand before and behind the addresses.
const around = " \t\r\n,;"

// CheckURL refuses a value of RELAY_AMQP_URL with which no connection can ever be made. The error
// holds no part of a password.
func CheckURL(text string) error {
	_, err := parseAddresses(text)
	return err
}

// parseAddresses reads one address or several: whole ones with commas between, or one with
// several hosts. The parsers' own errors quote pieces of the URL, and with them of the password.
func parseAddresses(text string) ([]address, error) {
	var all []address
	for whole := range strings.SplitSeq(nextAddress.ReplaceAllString(strings.Trim(text, around), "\n$1"), "\n") {
		for _, one := range eachHost(whole) {
			a, err := parseAddress(one)
			if err != nil {
				return nil, err
			}
			all = append(all, a)
		}
	}
	return all, nil
}

// eachHost makes an address for each host of one.
func eachHost(whole string) []string {
	scheme, rest, found := strings.Cut(whole, "://")
	if !found {
		return []string{whole}
	}
	authority, path := rest, ""
	if at := strings.IndexAny(rest, "/?#"); at >= 0 {
		authority, path = rest[:at], rest[at:]
	}
	user, hosts := "", authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, hosts = authority[:at+1], authority[at+1:]
	}
	var all []string
	for host := range strings.SplitSeq(hosts, ",") {
		all = append(all, scheme+"://"+user+strings.TrimSpace(host)+path)
	}
	return all
}

func parseAddress(text string) (address, error) {
	u, err := url.Parse(text)
	switch {
	case text != "" && strings.Contains("\"'`", text[:1]):
		return address{}, errors.New("malformed AMQP URL: it begins with a quote, which a file of variables need not have: leave the quotes out")
	case err != nil:
		return address{}, errors.New("malformed AMQP URL: write amqp://user:password@host:5672/vhost, with special characters percent-encoded")
	case u.Scheme != "amqp" && u.Scheme != "amqps":
		return address{}, errors.New("malformed AMQP URL: it must begin with amqp:// or amqps://")
	case u.Hostname() == "", strings.HasSuffix(u.Host, ":"):
		return address{}, errors.New("malformed AMQP URL: no host, or no port after the colon")
	}
	uri, err := amqp091.ParseURI(text)
	if err != nil {
		return address{}, errors.New("malformed AMQP URL: bad port, vhost or parameter")
	}
	a := address{url: text, uri: uri}
	for _, check := range []func(url.Values) error{a.checkMechanism, a.checkTLS} {
		if err := check(u.Query()); err != nil {
			return address{}, err
		}
	}
	return a, nil
}

// checkMechanism judges auth_mechanism.
func (a address) checkMechanism(url.Values) error {
	for _, m := range a.uri.AuthMechanism {
		switch strings.ToLower(m) {
		case "plain", "amqplain":
		case "external":
			if a.uri.Scheme != "amqps" || a.uri.CertFile == "" {
				return errors.New("auth_mechanism=external needs amqps://, certfile and keyfile: the client certificate identifies the relay")
			}
		default:
			return errors.New("auth_mechanism is none of plain, amqplain and external")
		}
	}
	return nil
}

// checkTLS judges the parameters of TLS, and reads the files.
func (a address) checkTLS(query url.Values) error {
	uri := a.uri
	if uri.Scheme == "amqp" {
		for _, name := range []string{"cacertfile", "certfile", "keyfile", "server_name_indication"} {
			if query.Get(name) != "" {
				return fmt.Errorf("%s is for TLS alone: write amqps:// instead of amqp://", name)
			}
		}
		return nil
	}
	if strings.EqualFold(query.Get("verify"), "verify_none") {
		return errors.New("verify=verify_none: the relay always checks the broker's certificate; name its CA by cacertfile")
	}
	if uri.CACertFile != "" {
		pem, err := os.ReadFile(uri.CACertFile)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s holds no certificate in the form of PEM", uri.CACertFile)
		}
		if err != nil {
			return fmt.Errorf("cacertfile: %w", err)
		}
	}
	switch {
	case (uri.CertFile == "") != (uri.KeyFile == ""):
		return errors.New("certfile and keyfile need each other")
	case uri.CertFile == "":
		return nil
	}
	if _, err := tls.LoadX509KeyPair(uri.CertFile, uri.KeyFile); err != nil {
		return fmt.Errorf("certfile and keyfile: %w", err)
	}
	return nil
}
