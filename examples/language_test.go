package examples

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"relay/test/harness"
)

// language is one folder of programs.
type language struct {
	name string
	// missing says what the machine lacks to run the programs. It is nil if the machine lacks nothing.
	missing func() error
	// send returns the arguments of a program that takes an order.
	send func(s *shop, rollBack bool, customer, cents string) []string
	// receive returns the arguments of a program that listens on a port. SQL has none, and
	// Go's stands in.
	receive func(s *shop, port string) []string
	// consume returns the arguments of a program that consumes a queue of RabbitMQ. Nil means that
	// the language has none.
	consume func(s *shop, queue string) []string
}

// receiverName is the name under which receivers and consumers receive.
const receiverName = "warehouse"

func languages() []language {
	const jar, python = "/usr/share/java/postgresql.jar", "/usr/bin/python3"
	const jars = jar + ":/usr/share/java/amqp-client.jar:/usr/share/java/slf4j-api.jar:/usr/share/java/slf4j-simple.jar"
	return []language{{
		name:    "go",
		missing: func() error { return nil },
		send: func(s *shop, rollBack bool, customer, cents string) []string {
			return withFlag(rollBack, "-roll-back", []string{harness.Build(s.t, "relay/examples/go/send")}, customer, cents)
		},
		receive: receiveInGo,
		consume: func(s *shop, queue string) []string {
			return []string{harness.Build(s.t, "relay/examples/go/consume"), queue, receiverName}
		},
	}, {
		name: "java",
		missing: func() error {
			return errors.Join(lacksCommand("java"), lacksCommand("javac"), lacksFiles(strings.Split(jars, ":")...))
		},
		send: func(_ *shop, rollBack bool, customer, cents string) []string {
			return withFlag(rollBack, "--roll-back", []string{"java", "-cp", jar, "java/Send.java"}, customer, cents)
		},
		receive: func(_ *shop, port string) []string {
			return []string{"java", "-cp", jar, "java/Receive.java", port, receiverName}
		},
		consume: func(_ *shop, queue string) []string {
			return []string{"java", "-cp", jars, "java/Consume.java", queue, receiverName}
		},
	}, {
		name: "python",
		missing: func() error {
			if out, err := exec.Command(python, "-c", "import pika, psycopg2").CombinedOutput(); err != nil {
				return fmt.Errorf("%s has no psycopg2, or no pika: %w: %s", python, err, out)
			}
			return nil
		},
		send: func(_ *shop, rollBack bool, customer, cents string) []string {
			return withFlag(rollBack, "--roll-back", []string{python, "python/send.py"}, customer, cents)
		},
		receive: func(_ *shop, port string) []string {
			return []string{python, "python/receive.py", port, receiverName}
		},
		consume: func(_ *shop, queue string) []string {
			return []string{python, "python/consume.py", queue, receiverName}
		},
	}, {
		name: "node",
		missing: func() error {
			return errors.Join(lacksCommand("node"), lacksFiles("node/node_modules/pg", "node/node_modules/amqplib"))
		},
		send: func(_ *shop, rollBack bool, customer, cents string) []string {
			return withFlag(rollBack, "--roll-back", []string{"node", "node/send.js"}, customer, cents)
		},
		receive: func(_ *shop, port string) []string {
			return []string{"node", "node/receive.js", port, receiverName}
		},
		consume: func(_ *shop, queue string) []string {
			return []string{"node", "node/consume.js", queue, receiverName}
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
	return []string{harness.Build(s.t, "relay/examples/go/receive"), port, receiverName}
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

func lacksFiles(paths ...string) error {
	var errs []error
	for _, path := range paths {
		errs = append(errs, lacksFile(path))
	}
	return errors.Join(errs...)
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
