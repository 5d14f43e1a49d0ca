package main

import (
	"net/url"
	"slices"
	"strings"

	"relay"
)

// fileSuffix makes the name of the variable that names the file of a secret.
const fileSuffix = "_FILE"

// hidden stands for a secret wherever a value is printed.
const hidden = "(hidden)"

// Secret is a value that must not be printed. Whatever formats it gets a redacted form; a
// conversion to string gets the value itself. Empty means that it is not set.
type Secret string

// String returns the secret redacted: of a URL the scheme and the host, else nothing.
func (s Secret) String() string { return redact(string(s), true) }

// GoString keeps %#v from printing the value.
func (s Secret) GoString() string { return s.String() }

// MarshalText keeps JSON and logs from printing the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Secrets are signing secrets in the text form of Standard Webhooks, newest first. They print as
// nothing. Empty means that requests are not signed.
type Secrets []string

// EnvDecode splits and judges a list of secrets.
func (s *Secrets) EnvDecode(value string) error {
	if value == "" { // not set: envconfig asks all the same
		return nil
	}
	list, err := relay.ParseSecrets(value)
	if err != nil {
		return reason(err.Error())
	}
	*s = list
	return nil
}

// String returns no secret.
func (s Secrets) String() string { return redact(strings.Join(s, ","), true) }

// GoString keeps %#v from printing the values.
func (s Secrets) GoString() string { return s.String() }

// MarshalText keeps JSON and logs from printing the values.
func (s Secrets) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// redact returns what of a value may be shown. A secret is hidden, but for the scheme and
// the host of a URL; any other URL loses its user, password and query, and what else holds an @ is hidden too. A URL
// whose password may have ended up elsewhere, as one with an unescaped slash, is hidden whole.
func redact(value string, secret bool) string {
	switch isURL := strings.Contains(value, "://"); {
	case value == "", !secret && !strings.Contains(value, "@") && !(isURL && strings.Contains(value, "?")):
		return value
	case !isURL:
		return hidden
	}
	u, err := url.Parse(value)
	if err != nil || !printableURL(value, u) {
		return hidden
	}
	var b strings.Builder
	b.WriteString(u.Scheme + "://")
	if u.User != nil {
		b.WriteString("…@")
	}
	b.WriteString(u.Host)
	switch {
	case u.Path != "" && secret:
		b.WriteString("/…")
	case u.Path != "":
		b.WriteString(u.EscapedPath())
	}
	if u.RawQuery != "" {
		b.WriteString("?…")
	}
	return b.String()
}

// printableURL reports whether the parts of a URL are what they seem: its only @, if any,
// ends the user and password.
func printableURL(value string, u *url.URL) bool {
	known := []string{"postgres", "postgresql", "amqp", "amqps", "http", "https"}
	at := strings.Count(value, "@")
	return slices.Contains(known, u.Scheme) && u.Fragment == "" && (at == 0 || at == 1 && u.User != nil)
}
