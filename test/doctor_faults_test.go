package test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"relay/test/harness"
)

// doctorFault is something that keeps the relay from its work, as a person who operates it meets it.
type doctorFault struct {
	name string
	// bare: the database is not migrated. own: it has a server of its own.
	bare, own bool
	// relay has a relay run before the fault is seeded, or after it.
	relay, relayAfter bool
	env               []string // of the relay and, where none runs, of doctor
	seed              func(t *testing.T, f *faulty)
	// What doctor must say, and how the first of its fixes begins.
	result, check, what, mend string
	// What relay status must say of it. Empty means nothing in particular.
	status string
}

// faulty is a system with a fault.
type faulty struct {
	system
	url string            // with which doctor and relay connect
	env map[string]string // of the relay
	// values stand for what a fix leaves to the person, such as URL or NAME, and for variables to be set.
	values map[string]string
	begin  func() // starts what a fix says to start, or mends what is no part of the relay
	broker string // URL of the broker
}

// TestDoctorMendsEachFault seeds faults one by one. Doctor names each and prints a fix, which is run to the letter;
// then the fault is gone. Doctor knows nothing but the address of the database.
func TestDoctorMendsEachFault(t *testing.T) {
	t.Parallel()
	all := slices.Concat(databaseFaults, schemaFaults, stateFaults, streamFaults, deliveryFaults, brokerFaults)
	if len(all) < 25 {
		t.Fatalf("%d faults", len(all))
	}
	for _, fault := range all {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			fault.try(t)
		})
	}
}

func (fault doctorFault) try(t *testing.T) {
	f := newFaulty(t, fault)
	fault.seed(t, f)
	if fault.relayAfter {
		f.run(t)
	}
	var printed string
	f.eventually(t, "doctor names it", func(d diagnosis) bool {
		found := d.find(fault.result, fault.check, fault.what)
		if found != nil && strings.HasPrefix(*found, fault.mend) {
			printed = *found
			return true
		}
		return false
	})
	if fault.status != "" {
		code, text, errs := run(t, "", []string{"status", "--json"}, "RELAY_DATABASE_URL="+f.url)
		if code != 0 || !strings.Contains(text, fault.status) {
			t.Errorf("relay status does not say %q: code %d, %s%s", fault.status, code, text, errs)
		}
	}
	f.fix(t, printed)
	f.eventually(t, "the fault is gone", func(d diagnosis) bool {
		return d.find("fail", fault.check, fault.what) == nil && d.find("warn", fault.check, fault.what) == nil && (d.code == 0 || fault.result == "warn")
	})
}

func newFaulty(t *testing.T, fault doctorFault) *faulty {
	f := &faulty{env: make(map[string]string), values: make(map[string]string)}
	if fault.own {
		f.db = ownDatabase(t)
	} else {
		f.db = harness.Database(t)
	}
	f.url = f.db.URL
	if !fault.bare {
		prepare(t, f.db)
	}
	f.receiver = newReceiver(t, nil)
	f.values["URL"], f.values["NAME"], f.values["ROLE"] = f.receiver.URL, "mended", "app"
	f.values["DB"] = f.db.Name
	for _, v := range fault.env {
		name, value, _ := strings.Cut(v, "=")
		f.env[name] = f.fill(value)
	}
	if fault.relay {
		f.run(t)
	}
	return f
}

// run starts a relay, in place of one that runs.
func (f *faulty) run(t *testing.T) {
	if f.relay != nil {
		if err := f.relay.stop(30 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"RELAY_DATABASE_URL=" + f.url}
	for _, name := range slices.Sorted(maps.Keys(f.env)) {
		env = append(env, name+"="+f.env[name])
	}
	f.relay = launch(t, f.db, env...)
}

// fill puts what the person knows in place of the words that stand for it.
func (f *faulty) fill(text string) string {
	words := strings.Fields(text)
	for i, word := range words {
		for _, name := range []string{"URL", "NAME", "ROLE", "DB", "QUEUE", "PATTERNS", "VHOST", "USER"} {
			if word == name || strings.HasSuffix(word, "="+name) || strings.HasPrefix(word, name+"/") {
				words[i] = strings.Replace(word, name, f.values[name], 1)
			}
		}
	}
	return strings.Join(words, " ")
}

// eventually runs doctor until what it says is right.
func (f *faulty) eventually(t *testing.T, what string, right func(diagnosis) bool) {
	t.Helper()
	var last diagnosis
	defer func() {
		if t.Failed() {
			t.Logf("doctor said:\n%s", last.output)
		}
	}()
	harness.Eventually(t, 20*time.Second, what, func() bool {
		last = diagnose(t, f.url, f.shell()...)
		return right(last)
	})
}

// shell is doctor's environment: where a relay runs, none but the database's address.
func (f *faulty) shell() (env []string) {
	if f.relay != nil {
		return nil
	}
	env = []string{"RELAY_SLOT=" + f.db.Name}
	for name, value := range f.env {
		env = append(env, name+"="+value)
	}
	return env
}

// find returns how a finding is mended. Nil means that there is none.
func (d diagnosis) find(result, check, what string) *string {
	for _, finding := range d.Findings {
		if finding.Result == result && finding.Check == check && strings.Contains(finding.What, what) {
			return &finding.Mend
		}
	}
	return nil
}

// fix does what the first alternative of a fix says.
func (f *faulty) fix(t *testing.T, mend string) {
	t.Helper()
	first, _, _ := strings.Cut(mend, "; or ")
	t.Logf("fix: %s", first)
	for step := range strings.SplitSeq(first, ", then ") {
		f.step(t, f.fill(step))
	}
}

// step does one step. What nothing here can do fails the test.
func (f *faulty) step(t *testing.T, step string) {
	t.Helper()
	command, rest, _ := strings.Cut(step, " ")
	switch {
	case step == "start the relay again", strings.HasPrefix(step, "relay run"):
		f.run(t)
	case step == "restart the server":
		f.restart(t)
	case strings.HasPrefix(step, "start "), strings.HasPrefix(step, "mend "):
		f.begin()
	case command == "relay":
		if code, out, errs := run(t, "", strings.Fields(rest), "RELAY_DATABASE_URL="+f.url); code != 0 {
			t.Fatalf("%s: code %d, %s%s", step, code, out, errs)
		}
	case command == "unset":
		delete(f.env, rest)
	case command == "set" && strings.HasPrefix(rest, "RELAY_"), strings.HasPrefix(step, "set user and password"), strings.HasPrefix(step, "set the database"):
		f.set(step)
	case command == "rabbitmqadmin":
		f.rabbitmqadmin(t, strings.Fields(rest))
	case command == "rabbitmqctl":
		if out, err := harness.Rabbit(t).Ctl(t.Context(), strings.Fields(strings.ReplaceAll(rest, `"`, ""))...); err != nil {
			t.Fatalf("%s: %v\n%s", step, err, out)
		}
	default:
		f.sql(t, step)
	}
}

// set gives a variable the value that the step or the test names for it.
func (f *faulty) set(step string) {
	if strings.Contains(step, "RELAY_DATABASE_URL") {
		f.url = f.values["RELAY_DATABASE_URL"]
		return
	}
	for word := range strings.FieldsSeq(step) {
		name, value, given := strings.Cut(word, "=")
		if !strings.HasPrefix(name, "RELAY_") {
			continue
		}
		if !given {
			value = f.values[name]
		}
		f.env[name] = value
	}
}

// sql runs statements as a superuser in a session of its own, as psql does.
func (f *faulty) sql(t *testing.T, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.db.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), statements, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

// restart restarts the server of the database, which is the fault's own.
func (f *faulty) restart(t *testing.T) {
	t.Helper()
	if err := f.db.Server.Stop("fast"); err != nil {
		t.Fatal(err)
	}
	if err := f.db.Server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// rabbitmqadmin does what that program does, which needs a plugin of the broker.
func (f *faulty) rabbitmqadmin(t *testing.T, words []string) {
	t.Helper()
	conn, err := amqp.Dial(f.broker)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	options := make(map[string]string)
	for _, word := range words[2:] {
		name, value, _ := strings.Cut(word, "=")
		options[name] = value
	}
	switch strings.Join(words[:2], " ") {
	case "declare queue":
		_, err = channel.QueueDeclare(options["name"], true, false, false, false, nil)
	case "declare binding":
		err = channel.QueueBind(options["destination"], options["routing_key"], options["source"], false, nil)
	default:
		t.Fatalf("rabbitmqadmin %v", words)
	}
	if err != nil {
		t.Fatal(err)
	}
}
