package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	isPostgres = regexp.MustCompile(`^postgres(ql)?://`)
	// isJDBC matches jdbc:postgresql://host:port/database?… and the same of R2DBC; errors show its hosts and its database
	// only.
	isJDBC = regexp.MustCompile(`(?i)^(jdbc|r2dbc):postgres(?:ql)?:(?://)?(?:([a-zA-Z0-9.,:\[\]_-]+)/)?([a-zA-Z0-9_-]*)(?:\?|$)`)
	// isDialect matches what SQLAlchemy and others put behind the name.
	isDialect = regexp.MustCompile(`^postgres(?:ql)?\+[a-z0-9_]+://`)
	// isScheme matches the scheme of any URL.
	isScheme = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9+.-]*)://`)
	// isPlain matches what may be shown: it holds no password.
	isPlain = regexp.MustCompile(`^[a-zA-Z0-9.,:_-]+$`)
	// isPair matches a name with its value, and isSeveral several of libpq's, which spaces separate.
	isPair    = regexp.MustCompile(`^[a-zA-Z_ ]+=`)
	isSeveral = regexp.MustCompile(`(?s)=.*\s[a-zA-Z_]+\s*=`)
)

// ownForm ends what is said of a form that is not the relay's.
const ownForm = "write postgres://USER:PASSWORD@HOST:5432/DATABASE"

// foreignForm recognises connection strings of other drivers, and shows the same in the
// relay's form. Users and passwords are left for a person to fill in.
func foreignForm(value string) reason {
	lower := strings.ToLower(value)
	switch {
	case value != "" && strings.ContainsRune("\"'`", rune(value[0])):
		return "it begins with a quote, which a file of variables (docker run --env-file, an EnvironmentFile) need not have: leave the quotes out"
	case strings.HasPrefix(lower, "psql "):
		return "this is a command line: leave out psql and the quotes, and write the URL alone"
	case strings.HasPrefix(lower, "jdbc:"), strings.HasPrefix(lower, "r2dbc:"):
		driver := strings.ToUpper(lower[:strings.IndexByte(lower, ':')])
		if m := isJDBC.FindStringSubmatch(value); m != nil {
			return shownAs(driver, cmp.Or(m[2], "localhost:5432"), cmp.Or(m[3], "DATABASE"))
		}
		return shownAs(driver, "HOST:5432", "DATABASE")
	case isDialect.MatchString(lower):
		return "the part of the scheme from + on is another driver's; " + ownForm
	case isScheme.MatchString(value):
		return foreignScheme(isScheme.FindStringSubmatch(value)[1])
	case isNpgsql(value):
		whose := "Npgsql"
		if npgsqlHas(value, "driver", "dsn", "uid", "provider") {
			whose = "ODBC"
		}
		host := cmp.Or(npgsql(value, "host", "server", "data source"), "HOST")
		return shownAs(whose, host+":"+cmp.Or(npgsql(value, "port"), "5432"), cmp.Or(npgsql(value, "database", "db", "initial catalog"), "DATABASE"))
	}
	return ""
}

// shownAs says whose form it is, and how the relay's looks.
func shownAs(whose, hosts, database string) reason {
	return reason(fmt.Sprintf("this is the form of %s; write postgres://USER:PASSWORD@%s/%s", whose, hosts, database))
}

// foreignScheme says what is wrong with the scheme of a URL. Empty: it is PostgreSQL's.
func foreignScheme(scheme string) reason {
	switch lower := strings.ToLower(scheme); {
	case scheme == "postgres", scheme == "postgresql":
		return ""
	case lower == "postgres", lower == "postgresql":
		return reason("the scheme has capital letters: write " + lower + "://")
	case strings.HasPrefix(lower, "prisma"):
		return "this is the address of Prisma's own proxy, which speaks no SQL: " + ownForm + ", the server's own address"
	}
	if slices.Contains(otherSchemes, strings.ToLower(scheme)) { // any other may be the beginning of a secret
		return reason(fmt.Sprintf("the scheme %s:// is another program's; %s", scheme, ownForm))
	}
	return "the scheme is another program's; " + ownForm
}

// otherSchemes are what others write for PostgreSQL, and the schemes of other databases.
var otherSchemes = []string{"cockroach", "cockroachdb", "ecto", "mariadb", "mysql", "pg", "pgsql", "postgis", "psql", "redis", "sqlite", "sqlserver"}

// npgsqlNames are the parameters of Npgsql, and of ODBC, without which no string of it does.
var npgsqlNames = []string{
	"host", "server", "data source", "port", "database", "db", "initial catalog", "username", "user name", "user id", "userid", "uid", "password", "pwd",
}

// isNpgsql reports whether a string consists of parameters between semicolons, as Npgsql has them, and
// names a host, a user or the like among them. A password among keywords of libpq may have a semicolon too.
func isNpgsql(value string) bool {
	parts := strings.Split(strings.TrimRight(value, "; "), ";")
	for _, part := range parts[:min(len(parts), 2)] {
		if part = strings.TrimSpace(part); !isPair.MatchString(part) || isSeveral.MatchString(part) {
			return false
		}
	}
	return strings.Contains(value, ";") && npgsqlHas(value, npgsqlNames...)
}

// npgsqlHas reports whether a string has one of some parameters.
func npgsqlHas(value string, names ...string) bool {
	for pair := range strings.SplitSeq(value, ";") {
		name, _, found := strings.Cut(pair, "=")
		if found && slices.Contains(names, strings.ToLower(strings.TrimSpace(name))) {
			return true
		}
	}
	return false
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
