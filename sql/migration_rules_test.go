package sql

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A rule says what no step may contain, since an INSERT would wait for it, or since it
// could not be repeated. The statements are in lower case, with single blanks, without
// comments and without what stands between dollars.
type rule struct {
	why     string
	kinds   []stepKind
	pattern *regexp.Regexp
	allowed *regexp.Regexp // of what the pattern matches; nil: none
}

var (
	inTransactions = []stepKind{stepTransaction, stepLock}
	rules          = []rule{
		{"a step is a transaction already", inTransactions, regexp.MustCompile(`^(begin|commit|rollback|savepoint|start) ?`), nil},
		{"concurrently needs a step of that kind", inTransactions, regexp.MustCompile(`\bconcurrently\b`), nil},
		{"an index is built concurrently", inTransactions, regexp.MustCompile(`^create (unique )?index\b`), nil},
		{"an index is dropped concurrently", inTransactions, regexp.MustCompile(`^drop index\b`), nil},
		{"a constraint is added not valid, and validated by a later step", inTransactions,
			regexp.MustCompile(`\badd (constraint|check|unique|primary key|foreign key)\b`), regexp.MustCompile(`\b(not valid|using index)\b`)},
		{"a constraint is validated in a transaction step", []stepKind{stepLock}, regexp.MustCompile(`\bvalidate constraint\b`), nil},
		{"a table is read as a whole", inTransactions, regexp.MustCompile(`\badd column\b[^,]*\b(check|unique|primary key|references)\b`), nil},
		{"a table is read as a whole", inTransactions, regexp.MustCompile(`\bset not null\b`), nil},
		{"a table is written anew", inTransactions,
			regexp.MustCompile(`\balter column \S+ (set data )?type\b|\badd column\b[^,]*(\bgenerated\b|serial\b|\bidentity\b|\bdefault [^,]*\()|\bset (tablespace|logged|unlogged|access method)\b`), nil},
		{"a table is locked for long", inTransactions, regexp.MustCompile(`^(lock|truncate|cluster|vacuum|reindex|refresh)\b`), nil},
		{"a lock step does nothing but define", []stepKind{stepLock}, regexp.MustCompile(`^`),
			regexp.MustCompile(`^(alter table|create (or replace )?(trigger|function)|drop (trigger|function)|comment on|grant|revoke)\b`)},
	}
	dollarBody = regexp.MustCompile(`(?s)(\$[a-z]*\$).*?\$[a-z]*\$`)
	newTable   = regexp.MustCompile(`\bcreate table (?:if not exists )?(relay\.[a-z_]+)`)
	// The table that a statement takes a lock of, which an INSERT waits for.
	changed = regexp.MustCompile(`^(?:alter table (?:only |if exists )*|drop table (?:if exists )?|create (?:or replace )?(?:constraint )?trigger .*? on |drop trigger .*? on |create (?:or replace )?(?:rule|policy) .*? on )(relay\.[a-z_]+)`)
	indexed = regexp.MustCompile(`^create (?:unique )?index .*?on (relay\.[a-z_]+)`)
	checks  = regexp.MustCompile(`^alter table (relay\.[a-z_]+) validate constraint [a-z_]+$`)
)

// plain returns the statements of a step as the rules expect them.
func plain(text string) []string {
	text = dollarBody.ReplaceAllString(statements(text), "''")
	var list []string
	for statement := range strings.SplitSeq(strings.ToLower(text), ";") {
		if words := strings.Fields(statement); len(words) > 0 {
			list = append(list, strings.Join(words, " "))
		}
	}
	return list
}

// faults returns what is wrong with the files, which come after the last one without steps.
func faults(files []migrationFile) (list []string) {
	for _, f := range files {
		if f.whole {
			list = append(list, f.name+": it has no steps")
		}
		fresh := map[string]bool{}
		for i, step := range f.steps {
			for _, statement := range plain(step.sql) {
				if match := newTable.FindStringSubmatch(statement); match != nil {
					fresh[match[1]] = true
				}
				for _, fault := range faultsOf(statement, step, fresh) {
					list = append(list, fmt.Sprintf("%s, step %d: %s: %s", f.name, i+1, fault, statement))
				}
			}
		}
	}
	return list
}

// faultsOf returns what is wrong with a statement. What concerns a table that the same file
// has made is allowed.
func faultsOf(statement string, step migrationStep, fresh map[string]bool) (list []string) {
	table := ""
	for _, pattern := range []*regexp.Regexp{changed, indexed} {
		if match := pattern.FindStringSubmatch(statement); match != nil {
			table = match[1]
		}
	}
	if fresh[table] && step.kind == stepTransaction {
		return nil
	}
	for _, r := range rules {
		if slices.Contains(r.kinds, step.kind) && r.pattern.MatchString(statement) && (r.allowed == nil || !r.allowed.MatchString(statement)) {
			list = append(list, r.why)
		}
	}
	if changed.MatchString(statement) && table != step.table && !checks.MatchString(statement) {
		list = append(list, "it needs a step that locks "+table)
	}
	return list
}

// TestMigrationsDoNotBlockInserts holds every file after version 4 to the rules.
func TestMigrationsDoNotBlockInserts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sequence
		released int // the last version whose file has no steps
	}{{outboxSequence, 4}, {inboxSequence, 1}} {
		files, err := readMigrations(c.files, c.folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range faults(files[c.released:]) {
			t.Error(fault)
		}
	}
}

// TestTheRulesOfMigrationsRefuse: what each rule is there for.
func TestTheRulesOfMigrationsRefuse(t *testing.T) {
	t.Parallel()
	const lock, tx = "-- step: lock relay.outbox\n", "-- step: transaction\n"
	for text, want := range map[string]string{
		"create table relay.x (n int)":                                                               "it has no steps",
		tx + "create index a on relay.outbox (topic)":                                                "built concurrently",
		tx + "drop index relay.outbox_pending":                                                       "dropped concurrently",
		lock + "alter table relay.outbox add constraint a check (topic <> '')":                       "added not valid",
		lock + "alter table relay.outbox\n add check (topic <> '')":                                  "added not valid",
		lock + "alter table relay.outbox validate constraint a":                                      "in a transaction step",
		lock + "alter table relay.outbox add column a int check (a > 0)":                             "read as a whole",
		lock + "alter table relay.outbox alter column source set not null":                           "read as a whole",
		lock + "alter table relay.outbox alter column source type varchar(9)":                        "written anew",
		lock + "alter table relay.outbox add column a uuid default relay.new_id()":                   "written anew",
		lock + "alter table relay.outbox add column a bigserial":                                     "written anew",
		lock + "update relay.outbox set topic = 'a'":                                                 "nothing but define",
		lock + "select relay.f()":                                                                    "nothing but define",
		lock + "alter table relay.delivery add column a int":                                         "locks relay.delivery",
		tx + "alter table relay.outbox add column a int":                                             "locks relay.outbox",
		tx + "create trigger a after insert on relay.outbox for each row execute function relay.f()": "locks relay.outbox",
		tx + "drop table relay.job":                                                                  "locks relay.job",
		tx + "lock table relay.outbox":                                                               "locked for long",
		tx + "vacuum relay.outbox":                                                                   "locked for long",
		tx + "create table relay.x (n int); commit; create index on relay.x (n)":                     "a transaction already",
	} {
		f, err := parseMigration("005_x.sql", text)
		if err != nil {
			t.Fatal(err)
		}
		if list := faults([]migrationFile{f}); !strings.Contains(strings.Join(list, "\n"), want) {
			t.Errorf("%q: %q, want %q", text, list, want)
		}
	}
	const allowed = tx + `
create table relay.x (n int not null, at timestamptz default now());
create index x_n on relay.x (n);
alter table relay.x add constraint x_n check (n > 0);
create function relay.f() returns int language plpgsql as $f$ begin; lock table relay.outbox; commit; end $f$;
alter table relay.outbox validate constraint a;
` + lock + `
alter table relay.outbox add column a boolean not null default false, add constraint b check (a) not valid;
alter table relay.outbox drop constraint c;
create trigger a before insert on relay.outbox for each row when (new.a) execute function relay.f();
alter table relay.outbox enable always trigger a;
-- step: concurrently
create index concurrently if not exists outbox_a on relay.outbox (a);`
	f, err := parseMigration("005_x.sql", allowed)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults([]migrationFile{f}) {
		t.Error(fault)
	}
}
