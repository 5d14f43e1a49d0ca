package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// The database's variable, and the one that is read where it is not set.
const (
	databaseName     = "RELAY_DATABASE_URL"
	databaseFallback = "DATABASE_URL"
)

// source looks variables up for envconfig and remembers where each value came from, so
// that an error can name the variable that a person has to change.
type source struct {
	env  map[string]string
	docs map[string]variable
	read map[string]given // by the struct's name of the variable
	last string           // the variable looked up last: the one that a decoder refuses
	err  error            // the first variable whose value could not be had at all
}

// given is a value and the variable that held it or named its file.
type given struct{ name, value string }

func newSource(env map[string]string) *source {
	s := &source{env: env, docs: make(map[string]variable), read: make(map[string]given)}
	for _, v := range variables() {
		s.docs[v.Name] = v
	}
	return s
}

// Lookup returns the value of a variable of Config: its own, its file's, or its
// fallback's. It implements envconfig.Lookuper.
func (s *source) Lookup(name string) (string, bool) {
	s.last = name
	g, ok := s.lookup(name, s.docs[name].Secret)
	if name == databaseName && !ok {
		g, ok = s.lookup(databaseFallback, true)
	}
	s.read[name] = g
	return g.value, ok
}

func (s *source) lookup(name string, secret bool) (given, bool) {
	value := s.env[name]
	path := s.env[name+fileSuffix]
	switch {
	case value == "" && (path == "" || !secret):
		return given{}, false
	case path == "" || !secret:
		return given{name, value}, true
	case value != "":
		s.fail(fmt.Errorf("%s and %s are both set; allowed: one of the two", name, name+fileSuffix))
		return given{}, false
	}
	value, err := readSecret(name+fileSuffix, path)
	if err != nil {
		s.fail(err)
		return given{}, false
	}
	return given{name + fileSuffix, value}, true
}

// readSecret reads the file of a secret that the variable name, with its suffix, leads to.
func readSecret(name, path string) (string, error) {
	content, err := os.ReadFile(path)
	value := strings.TrimRight(string(content), "\r\n")
	if err == nil && value == "" {
		err = errors.New("the file is empty")
	}
	if err != nil {
		return "", fmt.Errorf("%s: bad value %s: %w; allowed: a readable file that holds the value of %s",
			name, quote(path), err, strings.TrimSuffix(name, fileSuffix))
	}
	return value, nil
}

func (s *source) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// fault returns the one line about a variable whose value is missing or not allowed.
func (s *source) fault(name string, why reason) error {
	doc, g := s.docs[name], s.read[name]
	if g.name == "" {
		g.name = name
	}
	line := g.name + ": not set"
	if value := g.value; value != "" || doc.Default != "" {
		if value == "" {
			value = doc.Default
		}
		line = g.name + ": bad value " + quote(doc.shown(value))
	}
	if why != "" {
		line += ": " + string(why)
	}
	return fmt.Errorf("%s; allowed: %s", line, doc.Allowed)
}

// reason is an error of a decoder or check whose text is fit for a person and free of secrets.
type reason string

// Error returns the reason.
func (r reason) Error() string { return string(r) }

// quote returns a value on one line and within reason.
func quote(value string) string {
	const most = 200
	if len(value) > most {
		value = value[:most] + "…"
	}
	return strconv.Quote(value)
}
