// Package check tests what deploy holds and what scripts/package builds: the chart, the compose file, and, where make
// package-test names the folder by -dist, archives and packages. It is a module of its own, so that what it needs is
// not among the dependencies of the relay.
package check
