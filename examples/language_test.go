package examples

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"relay/test/harness"
)

// language is one folder of programs.
type language struct {
	name string
	// missing says what the machine lacks to run the programs. Nil: nothing.
	missing func() error
	// send returns the arguments of a program that takes an order.
	send func(s *shop, rollBack bool, customer, cents string) []string
	// receive returns the arguments of a program that listens on a port. SQL has none, and
	// Go's stands in.
	receive func(s *shop, port string) []string
}

func languages() []language {
	const jar, python = "/usr/share/java/postgresql.jar", "/usr/bin/python3"
	return []language{{
		name:    "go",
		missing: func() error { return nil },
		send: func(s *shop, rollBack bool, customer, cents string) []string {
			return withFlag(rollBack, "-roll-back", []string{harness.Build(s.t, "relay/examples/go/send")}, customer, cents)
		},
		receive: receiveInGo,
	}, {
		name:    "java",
		missing: func() error { return errors.Join(lacksCommand("java"), lacksCommand("javac"), lacksFile(jar)) },
		send: func(_ *shop, rollBack bool, customer, cents string) []string {
			return withFlag(rollBack, "--roll-back", []string{"java", "-cp", jar, "java/Send.java"}, customer, cents)
		},
		receive: func(_ *shop, port string) []string {
			return []string{"java", "-cp", jar, "java/Receive.java", port}
		},
	}, {
		name: "python",
		missing: func() error {
			if out, err := exec.Command(python, "-c", "import psycopg2").CombinedOutput(); err != nil {
				return fmt.Errorf("%s has no psycopg2: %w: %s", python, err, out)
			}
			return nil
		},
		send: func(_ *shop, rollBack bool, customer, cents string) []string {
			return withFlag(rollBack, "--roll-back", []string{python, "python/send.py"}, customer, cents)
		},
		receive: func(_ *shop, port string) []string {
			return []string{python, "python/receive.py", port}
		},
	}, {
		name:    "node",
		missing: func() error { return errors.Join(lacksCommand("node"), lacksFile("node/node_modules/pg")) },
		send: func(_ *shop, rollBack bool, customer, cents string) []string {
			return withFlag(rollBack, "--roll-back", []string{"node", "node/send.js"}, customer, cents)
		},
		receive: func(_ *shop, port string) []string {
			return []string{"node", "node/receive.js", port}
		},
	}, {
		name:    "sql",
		missing: func() error { return lacksCommand("psql") },
		send: func(s *shop, rollBack bool, customer, cents string) []string {
			set := []string{"-v", "customer=" + customer, "-v", "cents=" + cents, "-f", "sql/send.sql", s.appURL}
			return withFlag(rollBack, "--set=roll_back=yes", []string{"psql"}, set...)
		},
		receive: receiveInGo,
	}}
}

func receiveInGo(s *shop, port string) []string {
	return []string{harness.Build(s.t, "relay/examples/go/receive"), port}
}

// withFlag returns a command line, with a flag after the program if it is wanted.
func withFlag(wanted bool, flag string, program []string, args ...string) []string {
	if wanted {
		program = append(program, flag)
	}
	return append(program, args...)
}

func lacksCommand(name string) error {
	_, err := exec.LookPath(name)
	return err
}

func lacksFile(path string) error {
	_, err := os.Stat(path)
	return err
}

// need skips the test where the machine lacks what the language needs. On CI nothing may
// be missing.
func (l language) need(t *testing.T) {
	t.Helper()
	err := l.missing()
	if err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s cannot run here: %v; scripts/install-test installs it", l.name, err)
	}
	t.Skipf("%s cannot run here: %v; scripts/install-test installs it", l.name, err)
}
