package amqp_test

import (
	"testing"

	"relay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
