package notify

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"relay"
)

const (
	// referenceLife is how long a value is used before its variable or file is read again.
	referenceLife = time.Second
	// maxReferences bounds the values that are remembered, and maxReferenced the size of one in bytes.
	maxReferences = 10_000
	maxReferenced = 64 << 10
)

// References reads the variables and files that headers and secrets of subscriptions name:
// RELAY_SUBSCRIPTION_SECRETS says which they may. A role that may change subscriptions could
// otherwise have every file that the relay can read sent to a URL of its choice. The zero value
// allows none. It is safe for concurrent use.
type References struct {
	allowed []string

	mu    sync.Mutex
	known map[string]referenced
}

// referenced is what a reference led to.
type referenced struct {
	value string
	err   error
	at    time.Time
}

// ParseReferences reads the elements of RELAY_SUBSCRIPTION_SECRETS, separated by commas or white space:
//
//	env:BILLING_TOKEN       one variable
//	env:HOOK_*              all whose names begin so
//	file:/run/secrets/hook  one file
//	file:/run/secrets/      all below a folder
//
// The relay's own variables and those that hold the database's address are never read.
func ParseReferences(s string) (*References, error) {
	r := &References{known: make(map[string]referenced)}
	for _, element := range strings.FieldsFunc(s, IsSeparator) {
		name, isEnv := strings.CutPrefix(element, relay.EnvReference)
		path, isFile := strings.CutPrefix(element, relay.FileReference)
		switch {
		case isEnv && strings.Trim(name, "*") != "" && !isKept(name):
		case isFile && filepath.IsAbs(path) && strings.TrimSuffix(path, "/") == filepath.Clean(path):
		default:
			return nil, fmt.Errorf("%q is none of env:<name>, env:<beginning>*, file:/<path> and file:/<folder>/, or names a variable of the relay itself", element)
		}
		r.allowed = append(r.allowed, element)
	}
	return r, nil
}

// isKept reports whether a variable is the relay's own, or holds the database's address.
func isKept(name string) bool {
	return strings.HasPrefix(name, "RELAY_") || strings.HasPrefix(name, "PG") || name == "DATABASE_URL"
}

// refersAnywhere reports whether a subscription holds a reference.
func refersAnywhere(s *relay.Subscriber) bool {
	for _, value := range s.Headers {
		if relay.Refers(value) {
			return true
		}
	}
	for _, secret := range s.Secrets {
		if relay.Refers(secret) {
			return true
		}
	}
	return false
}

// Resolve returns the subscriber with values in place of references. Its error names the reference
// and what to do, and repeats no value.
func (r *References) Resolve(s *relay.Subscriber) (*relay.Subscriber, error) {
	resolved := *s
	resolved.Headers = make(map[string]string, len(s.Headers))
	for name, value := range s.Headers {
		value, err := r.value(value)
		if err != nil {
			return nil, fmt.Errorf("header %q: %w", name, err)
		}
		if strings.ContainsAny(value, "\r\n") {
			return nil, fmt.Errorf("header %q: what it names has several lines", name)
		}
		resolved.Headers[name] = value
	}
	resolved.Secrets = nil
	for _, secret := range s.Secrets {
		value, err := r.value(secret)
		if err != nil {
			return nil, fmt.Errorf("secrets: %w", err)
		}
		resolved.Secrets = append(resolved.Secrets, strings.FieldsFunc(value, IsSeparator)...)
	}
	return &resolved, nil
}

// value returns what a header or a secret stands for.
func (r *References) value(text string) (string, error) {
	if !relay.Refers(text) {
		return text, nil
	}
	if err := r.check(text); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if known, found := r.known[text]; found && now.Sub(known.at) < referenceLife {
		return known.value, known.err
	}
	if len(r.known) >= maxReferences {
		clear(r.known)
	}
	value, err := readReference(text)
	r.known[text] = referenced{value, err, now}
	return value, err
}

// check says why a reference may not be followed.
func (r *References) check(text string) error {
	name, isEnv := strings.CutPrefix(text, relay.EnvReference)
	if isEnv && isKept(name) {
		return fmt.Errorf("%s is a variable of the relay itself, which no subscription may name", text)
	}
	path, isFile := strings.CutPrefix(text, relay.FileReference)
	if isFile && (!filepath.IsAbs(path) || filepath.Clean(path) != path) {
		return fmt.Errorf("%s names no file by its whole path, from the root and without dots", text)
	}
	for _, allowed := range r.allowed {
		beginning, open := strings.CutSuffix(allowed, "*")
		open = open && isEnv || isFile && strings.HasSuffix(allowed, "/")
		if text == allowed || open && strings.HasPrefix(text, beginning) {
			return nil
		}
	}
	return fmt.Errorf("subscriptions may not name %s: allow it by RELAY_SUBSCRIPTION_SECRETS=%[1]s for every relay", text)
}

// readReference reads a variable or a file.
func readReference(text string) (value string, err error) {
	if name, isEnv := strings.CutPrefix(text, relay.EnvReference); isEnv {
		value = os.Getenv(name)
	} else if value, err = readLimited(strings.TrimPrefix(text, relay.FileReference)); err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", text, err)
	}
	value = strings.TrimSpace(value)
	switch {
	case value == "":
		return "", fmt.Errorf("%s is not set, or empty: set it for every relay", text)
	case strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0x7f }):
		return "", fmt.Errorf("%s holds a control character", text)
	}
	return value, nil
}

// readLimited reads a file that is not too large to be a secret.
func readLimited(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", errors.Unwrap(err) // the path stands in the reference
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is no regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return "", errors.Unwrap(err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxReferenced+1))
	if err != nil {
		return "", errors.Unwrap(err)
	}
	if len(content) > maxReferenced {
		return "", fmt.Errorf("it holds more than %d bytes", maxReferenced)
	}
	return string(content), nil
}
