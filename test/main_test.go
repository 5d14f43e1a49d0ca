// Package test holds the tests of the whole system: a relay built as its users build it,
// started as a process of its own, between a real PostgreSQL, real HTTP endpoints and a
// real RabbitMQ.
package test

import (
	"testing"

	"relay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
