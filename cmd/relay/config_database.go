package main

import (
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
var droppedParameters = strings.Fields(`
	charset encoding schema serverversion supa workaround replication
	fallback_application_name gssdelegation gsslib keepalives keepalives_count keepalives_idle keepalives_interval
	load_balance_hosts ssl_max_protocol_version ssl_min_protocol_version sslcompression uselibpqcompat

	applicationname autosave binarytransfer cancelsignaltimeout cleanupsavepoints currentschema
	databasemetadatacachefields defaultrowfetchsize hostrecheckseconds loadbalancehosts loggerfile loggerlevel
	logintimeout logunclosedconnections preparedstatementcachequeries preparedstatementcachesizemib preparethreshold
	preferquerymode readonly readonlymode receivebuffersize rewritebatchedinserts sendbuffersize sockettimeout
	stringtype tcpkeepalive

	connection_limit connectionlimit pgbouncer single_use_connections socket_timeout statement_cache_size
	connectiontimeoutmillis idletimeoutmillis keepalive keepaliveinitialdelaymillis query_timeout
	idle_timeout max_lifetime max_overflow maxpoolsize minpoolsize pool pooling poolsize timeout

	async_fallback command_timeout prepared_statement_cache_size prepared_statements
	conn_health_checks conn_max_age checkout_timeout reaping_frequency statement_limit
	binary_parameters default_query_exec_mode description_cache_capacity prefer_simple_protocol
	statement_cache_capacity statement_cache_mode`)

// explainedParameters are those that change what a connection is, and how to say it to the relay.
var explainedParameters = map[string]string{
	"connecttimeout":         "write connect_timeout, in seconds",
	"db":                     "write dbname",
	"hostaddr":               "write the address as host",
	"pwd":                    "write password",
	"requiressl":             "write sslmode=require",
	"server":                 "write host",
	"ssl":                    "write sslmode=require, or verify-full, or disable",
	"ssl_ca":                 "write sslrootcert",
	"ssl_cert":               "write sslcert",
	"ssl_key":                "write sslkey",
	"ssl_mode":               "write sslmode",
	"sslaccept":              "write sslmode=require, or verify-full",
	"sslca":                  "write sslrootcert",
	"sslcrl":                 "the relay reads no revocation lists: remove it",
	"sslcrldir":              "the relay reads no revocation lists: remove it",
	"sslfactory":             "write sslmode=require, or verify-full with sslrootcert",
	"sslidentity":            "write sslcert and sslkey",
	"targetservertype":       "write target_session_attrs=read-write",
	"trustservercertificate": "write sslmode=require",
	"uid":                    "write user",
	"userid":                 "write user",
	"username":               "write user",
}

// ownParameters are those of libpq that the relay heeds, if they are written as here.
var ownParameters = []string{
	"connect_timeout", "database", "dbname", "host", "options", "passfile", "password", "port", "service", "sslcert", "sslkey", "sslmode",
	"sslpassword", "sslrootcert", "target_session_attrs", "user",
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
	if name != lower && slices.Contains(ownParameters, lower) {
		return false, reason(fmt.Sprintf("the parameter %s has capital letters, and so is none of PostgreSQL's: write %s", name, lower))
	}
	return strings.HasPrefix(lower, "pool_") || slices.Contains(droppedParameters, lower), ""
}

// cleanDatabase returns a connection string without the parameters that mean nothing here, and
// their names. A string of another driver's form is an error that shows the form of the relay.
// Neither holds a user or a password.
func cleanDatabase(value string) (clean string, dropped []string, why reason) {
	value = strings.TrimSpace(value) // as where a secret was made with a line feed at its end
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
