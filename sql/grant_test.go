package sql_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"relay"
	"relay/sql"
	"relay/test/harness"
)

// migrated returns a store on a database with both series of migrations.
func migrated(t *testing.T) (*sql.Store, *harness.DB) {
	t.Helper()
	db := harness.Database(t)
	s := openStore(t, db.URL)
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, db
}

// execute runs statements that must succeed.
func execute(t *testing.T, on *pgxpool.Pool, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := on.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// as connects as a role that newRole made.
func as(t *testing.T, db *harness.DB, role string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.Server.URL(role, "secret", db.Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.PgConn().Close(t.Context()) })
	return conn
}

// TestGrantTakesBackWhatOthersGranted: where the session may act as the other grantor, its
// grants go; where not, the command fails and says what stays.
func TestGrantTakesBackWhatOthersGranted(t *testing.T) {
	t.Parallel()
	s, db := migrated(t)
	role, friend := newRole(t, db, "role"), newRole(t, db, "friend")
	execute(t, db.Relay(t), "grant usage on schema relay to "+friend, "grant select on relay.ack_key, relay.subscription to "+friend+" with grant option")
	execute(t, db.Admin(t), "set role "+friend+"; grant select on relay.ack_key to "+role+"; grant select (secrets) on relay.subscription to "+role+"; reset role")
	err := s.Grant(t.Context(), role)
	for _, want := range []string{"SELECT on table relay.ack_key", "SELECT (secrets) on table relay.subscription", `role "` + friend + `" granted`,
		`revoke select on table relay.ack_key from "` + role + `" cascade`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("%v does not say %q", err, want)
		}
	}
	if may := mayDo(t, db.Admin(t), role); may["table relay.outbox"] != "" {
		t.Errorf("a grant that failed gave %q", may["table relay.outbox"])
	}
	execute(t, db.Admin(t), "grant "+friend+" to relay")
	if err := s.Grant(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	may := mayDo(t, db.Admin(t), role)
	if may["table relay.ack_key"]+may["table relay.subscription"] != "" || may["table relay.outbox"] != send {
		t.Errorf("%v", may)
	}
	if may := mayDo(t, db.Admin(t), friend); may["table relay.ack_key"] != "SELECT" {
		t.Errorf("the other role's own privilege went: %v", may)
	}
}

// TestGrantTakesBackWhatWasPassedOn: what the role granted to others goes with it.
func TestGrantTakesBackWhatWasPassedOn(t *testing.T) {
	t.Parallel()
	s, db := migrated(t)
	role, friend := newRole(t, db, "role"), newRole(t, db, "friend")
	execute(t, db.Relay(t), "grant usage on schema relay to "+role+" with grant option", "grant insert (topic), select (payload) on relay.outbox to "+role+" with grant option")
	execute(t, db.Admin(t), "set role "+role+"; grant usage on schema relay to "+friend+"; grant insert (topic), select (payload) on relay.outbox to "+friend+"; reset role")
	if err := s.Grant(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	if may := mayDo(t, db.Admin(t), friend); may["table relay.outbox"]+may["schema relay"] != "" {
		t.Errorf("it went on: %v", may)
	}
	if _, err := as(t, db, role).Exec(t.Context(), "grant insert (topic) on relay.outbox to "+friend); err == nil {
		if may := mayDo(t, db.Admin(t), friend); may["table relay.outbox"] != "" {
			t.Errorf("the role passed it on again: %v", may)
		}
	}
}

func TestGrantRefusesTheOwner(t *testing.T) {
	t.Parallel()
	s, _ := migrated(t)
	if err := s.Grant(t.Context(), "relay"); err == nil || !strings.Contains(err.Error(), "owns the schema") {
		t.Errorf("the owner's own privileges were taken: %v", err)
	}
	if err := s.Grant(t.Context(), `no"body`); err == nil || !strings.Contains(err.Error(), `create role "no""body" login`) {
		t.Errorf("a role that does not exist: %v", err)
	}
	if _, err := s.Send(t.Context(), sql.Draft{Topic: "t"}); err != nil {
		t.Error(err)
	}
}

// TestARoleWithoutDestinationPublishes: everything but the column is as for other roles.
func TestARoleWithoutDestinationPublishes(t *testing.T) {
	t.Parallel()
	s, db := migrated(t)
	role := newRole(t, db, "role")
	if err := s.GrantWithoutDestination(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	conn := as(t, db, role)
	for statement, allowed := range map[string]bool{
		"select relay.publish('t', '{}')":                                             true,
		"select relay.publish('t', '{}', key => 'k', headers => null, delay => '1s')": true,
		"select relay.publish('t', '{}', destination => null)":                        true,
		"insert into relay.outbox (topic, payload) values ('t', '{}') returning id":   true,
		"select relay.publish('t', '{}', destination => 'http://h/')":                 false,
		"insert into relay.outbox (topic, destination) values ('t', 'http://h/')":     false,
		"insert into relay.outbox (topic, destination) values ('t', null)":            false,
		"copy relay.outbox (topic, destination) from stdin":                           false,
		"update relay.outbox set destination = 'http://h/'":                           false,
		"insert into relay.outbox (id, topic) values ('01890000-0000-7000-8000-000000000001', 't') on conflict (id) do update set destination = 'http://h/'": false,
	} {
		if _, err := conn.Exec(t.Context(), statement); (err == nil) != allowed || err != nil && !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v, allowed %t", statement, err, allowed)
		}
	}
	sender := openStore(t, db.Server.URL(role, "secret", db.Name))
	if _, err := sender.Send(t.Context(), sql.Draft{Topic: "t"}); err != nil {
		t.Errorf("relay send without a destination: %v", err)
	}
	if _, err := sender.Send(t.Context(), sql.Draft{Topic: "t", Destination: "http://h/"}); err == nil {
		t.Error("relay send set a destination")
	}
	if err := s.GrantInbox(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	if may := mayDo(t, db.Admin(t), role); may["table relay.outbox"] != sendAway {
		t.Errorf("the inbox gave %s", may["table relay.outbox"])
	}
	if err := s.Grant(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "select relay.publish('t', '{}', destination => 'http://h/')"); err != nil {
		t.Error(err)
	}
}

// TestMigrateTakesBackWhatDefaultPrivilegesGave, also when an earlier run was killed before
// it came to that, and leaves what a person granted.
func TestMigrateTakesBackWhatDefaultPrivilegesGave(t *testing.T) {
	t.Parallel()
	s, db := migrated(t)
	reader, monitor := newRole(t, db, "reader"), newRole(t, db, "monitor")
	owner := db.Relay(t)
	execute(t, owner, "alter default privileges for role relay grant select on tables to "+reader,
		"grant select on relay.ack_key, relay.outbox to "+reader, "grant usage on schema relay to "+reader+", "+monitor, "grant select (status) on relay.outbox to "+monitor)
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if may := mayDo(t, db.Admin(t), reader); may["table relay.ack_key"]+may["table relay.outbox"] != "" {
		t.Errorf("%v", may)
	}
	if may := mayDo(t, db.Admin(t), monitor); may["table relay.outbox"] != "SELECT (status)" {
		t.Errorf("what a person granted went: %v", may)
	}
}

// inboxRoles makes two consumers; each may receive for itself alone.
func inboxRoles(t *testing.T, s *sql.Store, db *harness.DB) (a, b string) {
	t.Helper()
	a, b = newRole(t, db, "a"), newRole(t, db, "b")
	for role, consumers := range map[string][]string{a: {"one", "o'ne\\"}, b: {"two"}} {
		if err := s.GrantInbox(t.Context(), role, consumers...); err != nil {
			t.Fatal(err)
		}
	}
	return a, b
}

const receiveOne, receiveTwo = "select relay.receive('one', gen_random_uuid())", "select relay.receive('two', gen_random_uuid())"

// TestAConsumerReceivesForItselfAlone tries to receive for another consumer by every means.
func TestAConsumerReceivesForItselfAlone(t *testing.T) {
	t.Parallel()
	s, db := migrated(t)
	a, b := inboxRoles(t, s, db)
	pooler := newRole(t, db, "pooler")
	execute(t, db.Admin(t), "alter role "+pooler+" noinherit", "grant "+a+", "+b+" to "+pooler,
		"create schema theirs", "grant usage, create on schema theirs to public")
	id := relay.NewID().String()
	asB := as(t, db, b)
	execute(t, db.Admin(t), "set role "+a+"; select relay.receive('one', '"+id+"'); reset role")
	const borrow = "create function theirs.borrow(consumer text) returns boolean language sql security definer as $$ select relay.receive(consumer, gen_random_uuid()) $$"
	if _, err := asB.Exec(t.Context(), borrow); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		role, statement string
		allowed         bool
	}{
		"its own":                        {a, receiveOne, true},
		"its own, with quotes":           {a, `select relay.receive(E'o''ne\\', gen_random_uuid())`, true},
		"another":                        {b, receiveOne, false},
		"another's message, known":       {b, "select relay.receive('one', '" + id + "')", false},
		"an unknown consumer":            {b, "select relay.receive('three', gen_random_uuid())", false},
		"other letters":                  {b, "select relay.receive('TWO', gen_random_uuid())", false},
		"a row of the table":             {b, "insert into relay.inbox (consumer, message_id) values ('one', gen_random_uuid())", false},
		"its time":                       {b, "insert into relay.inbox (consumer, message_id, received_at) values ('two', gen_random_uuid(), now())", false},
		"two rows":                       {b, "insert into relay.inbox (consumer, message_id) values ('two', gen_random_uuid()), ('one', gen_random_uuid())", false},
		"an update":                      {b, "insert into relay.inbox (consumer, message_id) values ('two', gen_random_uuid()) on conflict (consumer, message_id) do update set consumer = 'one'", false},
		"copy":                           {b, "copy relay.inbox (consumer, message_id) from stdin", false},
		"to read":                        {b, "select count(*) from relay.inbox", false},
		"to forget":                      {b, "call relay.forget_received('0')", false},
		"row security off":               {b, "set row_security = off; " + receiveOne, false},
		"a policy of its own":            {b, "create policy mine on relay.inbox for insert to " + b + " with check (true)", false},
		"no policies":                    {b, "alter table relay.inbox disable row level security", false},
		"the other's role":               {b, "set role " + a + "; " + receiveOne, false},
		"a search path":                  {b, "create temp table inbox (consumer text, message_id uuid); set search_path = pg_temp, theirs; " + strings.Replace(receiveOne, "gen_", "pg_catalog.gen_", 1), false},
		"a pool's role alone":            {pooler, receiveOne, false},
		"a pool as one":                  {pooler, "set role " + a + "; " + receiveOne, true},
		"a pool as one, for another":     {pooler, "set role " + a + "; " + receiveTwo, false},
		"a pool after it":                {pooler, "set role " + a + "; reset role; " + receiveOne, false},
		"another role's function":        {a, "select theirs.borrow('one')", false},
		"another role's function, lent":  {a, "select theirs.borrow('two')", true},
		"transaction of its own, nested": {b, "do $$ begin perform relay.receive('one', gen_random_uuid()); end $$", false},
	} {
		conn := as(t, db, c.role)
		_, err := conn.Exec(t.Context(), c.statement)
		// COPY into a table with policies is refused altogether.
		if (err == nil) != c.allowed || err != nil && !strings.Contains(err.Error(), "42501") && !strings.Contains(err.Error(), "0A000") {
			t.Errorf("%s: %s: %v, allowed %t", name, c.statement, err, c.allowed)
		}
	}
}

// TestAConsumersGrantFollowsItsRole: through a change of the consumers, a new name, members,
// and the role's end.
func TestAConsumersGrantFollowsItsRole(t *testing.T) {
	t.Parallel()
	s, db := migrated(t)
	a, b := inboxRoles(t, s, db)
	admin := db.Admin(t)
	try := func(role, statement string, allowed bool) {
		t.Helper()
		if _, err := as(t, db, role).Exec(t.Context(), statement); (err == nil) != allowed {
			t.Errorf("%s as %s: %v, allowed %t", statement, role, err, allowed)
		}
	}
	member := newRole(t, db, "member")
	execute(t, admin, "grant "+a+" to "+member)
	try(member, receiveOne, true)
	try(member, receiveTwo, false)
	if err := s.GrantInbox(t.Context(), b, "three"); err != nil {
		t.Fatal(err)
	}
	try(b, receiveTwo, false)
	try(b, "select relay.receive('three', gen_random_uuid())", true)
	execute(t, admin, "alter role "+b+" rename to "+b+"_renamed", "alter role "+b+"_renamed password 'secret'")
	try(b+"_renamed", "select relay.receive('three', gen_random_uuid())", true)
	execute(t, admin, "create role "+b+" login password 'secret'", "grant connect on database "+db.Name+" to "+b)
	try(b, "select relay.receive('three', gen_random_uuid())", false)
	if err := s.GrantInbox(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	try(b, receiveOne, true)
	execute(t, admin, "drop owned by "+b+"_renamed", "drop role "+b+"_renamed")
	if err := s.GrantInbox(t.Context(), a, ""); err == nil {
		t.Error("a consumer without a name was granted")
	}
}

// TestGrantInboxWaitsForConsumers: a policy cannot change while a consumer's transaction is
// under way, and consumers that come meanwhile are not held up for long.
func TestGrantInboxWaitsForConsumers(t *testing.T) {
	t.Parallel()
	s, db := migrated(t)
	a, b := inboxRoles(t, s, db)
	tx, err := as(t, db, a).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), receiveOne); err != nil {
		t.Fatal(err)
	}
	granted := make(chan error, 1)
	go func() { granted <- s.GrantInbox(t.Context(), b, "two", "three") }()
	other := as(t, db, b)
	for range 3 {
		if _, err := other.Exec(t.Context(), "set statement_timeout = '3s'; "+receiveTwo); err != nil {
			t.Errorf("a consumer was held up: %v", err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-granted; err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec(t.Context(), "select relay.receive('three', gen_random_uuid())"); err != nil {
		t.Error(err)
	}
}
