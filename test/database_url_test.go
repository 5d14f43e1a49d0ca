package test

import (
	"strings"
	"testing"
)

// The connection string of the application's own driver works: one warning names what the relay
// leaves out of it, for the stream too.
func TestAnotherDriversConnectionStringWorks(t *testing.T) {
	t.Parallel()
	db := migrated.Database(t)
	s := &system{db: db, app: db.App(t), admin: db.Admin(t), receiver: newReceiver(t, nil)}
	plain := db.URL
	db.URL += "&schema=public&connection_limit=5&pgbouncer=true&gssencmode=disable&keepalives=1&load_balance_hosts=random&pool_max_conns=3&default_query_exec_mode=simple_protocol"
	p := start(t, db, "RELAY_DEFAULT_DESTINATION="+s.receiver.URL)
	s.waitStatus(t, s.send(t, "topic", "'t'"), "done")
	const names = `names="schema connection_limit pgbouncer gssencmode keepalives load_balance_hosts pool_max_conns default_query_exec_mode"`
	if log := p.log.String(); strings.Count(log, "level=WARN msg=\"parameters of the database URL") != 1 || !strings.Contains(log, names) {
		t.Errorf("the relay says:\n%s", log)
	}
	env := []string{"RELAY_DATABASE_URL=" + db.URL, "RELAY_SLOT=" + db.Name, "RELAY_DEFAULT_DESTINATION=" + s.receiver.URL, "RELAY_EGRESS_ALLOW=loopback"}
	if out := runs(t, env, "doctor"); !strings.Contains(out, "left out: schema connection_limit") {
		t.Errorf("doctor says:\n%s", out)
	}
	// An unknown parameter is named at once, and so is one that the server refuses.
	for _, parameter := range []string{"wibble=1", "wal_level=logical", "work_mem=much"} {
		name, _, _ := strings.Cut(parameter, "=")
		for _, args := range [][]string{{"migrate"}, {"run"}, {"doctor"}} {
			code, stdout, stderr := run(t, "", args, "RELAY_DATABASE_URL="+plain+"&"+parameter, "RELAY_METRICS_ADDR=off", "RELAY_ADMIN_ADDR=off")
			if text := stdout + stderr; code == 0 || !strings.Contains(text, name) || !strings.Contains(text, "remove it from RELAY_DATABASE_URL") || strings.Contains(text, ":relay@") {
				t.Errorf("relay %s ends with %d: %s", args[0], code, text)
			}
		}
	}
}
