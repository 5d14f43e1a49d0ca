// Package test holds the tests of the whole system: a relay built as its users build it,
// started as a process of its own, between a real PostgreSQL, real HTTP endpoints and a
// real RabbitMQ.
package test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"

	"relay/test/harness"
)

func TestMain(m *testing.M) {
	// These tests wait most of the time. The command line may say otherwise.
	if err := flag.Set("test.parallel", fmt.Sprint(2*runtime.GOMAXPROCS(0))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	harness.Main(m)
}
