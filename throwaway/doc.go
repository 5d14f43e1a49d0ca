// Package throwaway starts PostgreSQL servers and RabbitMQ nodes for one short purpose,
// a demonstration or a test, from the binaries on the machine.
//
// Each server has a data folder of its own under the temporary folder, free ports on
// 127.0.0.1 and random passwords, and touches nothing that already runs. It may be
// stopped, started again and killed; Remove ends it and deletes all it had.
//
// Nothing is left behind even if this process is killed: beside each server stands a
// watcher, a small shell that waits for the end of a pipe which this process holds open.
// When the pipe closes, for whatever reason, the watcher ends the server and deletes its
// folder. Servers and watchers stand in sessions of their own, so that Ctrl-C in a
// terminal reaches only the program that uses them, which can then end in good order.
//
// PostgreSQL refuses to run as root. Started by root, servers run as the system users
// that the distribution's packages made for them (postgres, rabbitmq); started by an
// ordinary user, they run as that user.
package throwaway
