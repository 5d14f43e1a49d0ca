package main

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// droppedParameters are parameters that other drivers and tools put into a connection string and
// that mean nothing to the relay: sizes of their pools, their statement caches, their schema.
// They are compared in lower case. replication is PostgreSQL's own, and the relay decides about
// it for each connection.
var droppedParameters = []string{
	"applicationname", "autosave", "binarytransfer", "charset", "connection_limit", "connectionlimit",
	"currentschema", "default_query_exec_mode", "defaultrowfetchsize", "description_cache_capacity", "encoding",
	"fallback_application_name", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval",
	"load_balance_hosts", "loadbalancehosts", "logintimeout", "max_overflow", "pgbouncer", "pool", "poolsize",
	"prepared_statements", "preparedstatementcachequeries", "preparethreshold", "prefer_simple_protocol", "preferquerymode", "replication",
	"rewritebatchedinserts", "schema", "serverversion", "socket_timeout", "sockettimeout", "sslcompression",
	"statement_cache_capacity", "statement_cache_mode", "statement_cache_size", "stringtype", "tcpkeepalive", "uselibpqcompat",
}

// explainedParameters are those that change what a connection is, and how to say it to the relay.
var explainedParameters = map[string]string{
	"connecttimeout":   "write connect_timeout, in seconds",
	"hostaddr":         "write the address as host",
	"requiressl":       "write sslmode=require",
	"ssl":              "write sslmode=require, or verify-full, or disable",
	"sslaccept":        "write sslmode=require, or verify-full",
	"sslcrl":           "the relay reads no revocation lists: remove it",
	"sslcrldir":        "the relay reads no revocation lists: remove it",
	"sslfactory":       "write sslmode=require, or verify-full with sslrootcert",
	"sslidentity":      "write sslcert and sslkey",
	"targetservertype": "write target_session_attrs=read-write",
	"username":         "write user",
}

// judgeParameter says what becomes of a parameter: whether it is dropped, or why it cannot be
// there. Most are kept: PostgreSQL judges them.
func judgeParameter(name, value string) (drop bool, why reason) {
	lower := strings.ToLower(name)
	if lower == "gssencmode" {
		if value == "require" {
			return false, "gssencmode=require: the relay has no GSSAPI encryption; write sslmode=require"
		}
		return true, ""
	}
	if how, ok := explainedParameters[lower]; ok {
		return false, reason(fmt.Sprintf("the parameter %s is another driver's: %s", name, how))
	}
	return strings.HasPrefix(lower, "pool_") || slices.Contains(droppedParameters, lower), ""
}

// cleanDatabase returns a connection string without the parameters that mean nothing here, and
// their names. A string of another driver's form is an error that shows the form of the relay.
// Neither holds a user or a password.
func cleanDatabase(value string) (clean string, dropped []string, why reason) {
	if why := foreignForm(value); why != "" {
		return "", nil, why
	}
	if _, _, isURL := strings.Cut(value, "://"); isURL && isPostgres.MatchString(value) {
		return cleanURL(value)
	}
	return cleanKeywords(value)
}

func cleanURL(value string) (clean string, dropped []string, why reason) {
	base, query, some := strings.Cut(value, "?")
	if !some {
		return value, nil, ""
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return value, nil, "" // the driver says what is wrong with it
		}
		drop, why := judgeParameter(name, rawValue)
		switch {
		case why != "":
			return "", nil, why
		case drop:
			dropped = append(dropped, name)
		default:
			kept = append(kept, pair)
		}
	}
	if len(dropped) == 0 {
		return value, nil, ""
	}
	if len(kept) == 0 {
		return base, dropped, ""
	}
	return base + "?" + strings.Join(kept, "&"), dropped, ""
}

// keyword matches one keyword with its value, as libpq has them.
var keyword = regexp.MustCompile(`\s*([^\s=]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*|)`)

func cleanKeywords(value string) (clean string, dropped []string, why reason) {
	var kept strings.Builder
	end := 0
	for _, at := range keyword.FindAllStringSubmatchIndex(value, -1) {
		if at[0] != end {
			return value, nil, "" // the driver says what is wrong with it
		}
		end = at[1]
		name := value[at[2]:at[3]]
		drop, why := judgeParameter(name, strings.Trim(value[at[4]:at[5]], "'"))
		switch {
		case why != "":
			return "", nil, why
		case drop:
			dropped = append(dropped, name)
		default:
			kept.WriteString(value[at[0]:at[1]])
		}
	}
	if len(dropped) == 0 || strings.TrimSpace(value[end:]) != "" {
		return value, nil, ""
	}
	return strings.TrimSpace(kept.String()), dropped, ""
}

var (
	isPostgres = regexp.MustCompile(`^postgres(ql)?://`)
	// isJDBC matches jdbc:postgresql://host:port/database?…; errors show its hosts and its database only.
	isJDBC = regexp.MustCompile(`^jdbc:postgres(?:ql)?:(?://)?(?:([a-zA-Z0-9.,:\[\]_-]+)/)?([a-zA-Z0-9_-]*)(?:\?|$)`)
	// isDialect matches what SQLAlchemy and others put behind the name.
	isDialect = regexp.MustCompile(`^postgres(?:ql)?\+[a-z0-9_]+://`)
	// isPlain matches what may be shown: it holds no password.
	isPlain = regexp.MustCompile(`^[a-zA-Z0-9.,:_-]+$`)
)

// foreignForm recognises connection strings of other drivers, and shows the same in the
// relay's form. Users and passwords are left for a person to fill in.
func foreignForm(value string) reason {
	show := func(whose, hosts, database string) reason {
		return reason(fmt.Sprintf("this is the form of %s; write postgres://USER:PASSWORD@%s/%s", whose, hosts, database))
	}
	lower := strings.ToLower(value)
	switch {
	case strings.HasPrefix(lower, "jdbc:"):
		if m := isJDBC.FindStringSubmatch(value); m != nil {
			return show("JDBC", cmp.Or(m[1], "localhost:5432"), cmp.Or(m[2], "DATABASE"))
		}
		return show("JDBC", "HOST:5432", "DATABASE")
	case isDialect.MatchString(lower):
		return "the part of the scheme from + on is another driver's; write postgres://USER:PASSWORD@HOST:5432/DATABASE"
	case isNpgsql(value):
		return show("Npgsql", cmp.Or(npgsql(value, "host", "server"), "HOST")+":"+cmp.Or(npgsql(value, "port"), "5432"), cmp.Or(npgsql(value, "database", "db"), "DATABASE"))
	}
	return ""
}

// npgsqlNames are the parameters of Npgsql without which no string of it does.
var npgsqlNames = []string{"host", "server", "port", "database", "db", "username", "user id", "userid", "password"}

// isNpgsql reports whether the first two parts between semicolons, or the only one, are
// parameters as Npgsql has them.
func isNpgsql(value string) bool {
	parts := strings.Split(strings.TrimRight(value, "; "), ";")
	if !strings.Contains(value, ";") {
		return false
	}
	for _, part := range parts[:min(len(parts), 2)] {
		name, _, _ := strings.Cut(part, "=")
		if !slices.Contains(npgsqlNames, strings.ToLower(strings.TrimSpace(name))) {
			return false
		}
	}
	return true
}

// npgsql returns the value of the first of some names, if it may be shown.
func npgsql(value string, names ...string) string {
	for pair := range strings.SplitSeq(value, ";") {
		name, v, _ := strings.Cut(pair, "=")
		if v = strings.TrimSpace(v); slices.Contains(names, strings.ToLower(strings.TrimSpace(name))) && isPlain.MatchString(v) {
			return v
		}
	}
	return ""
}
