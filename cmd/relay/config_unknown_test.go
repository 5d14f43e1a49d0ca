package main

import (
	"reflect"
	"testing"
)

func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	env := with(
		"RELAY_MAX_ATTEMPT", "3",
		"RELAY_AMQPURL", "x",
		"RELAY_HTTP_TIMEOUT_FILE", "x",
		"RELAY_AMQP_URL_FILE", "/run/secrets/amqp",
		"RELAY_LOG_FORMAT", "json",
		"RELAYS", "x",
		"OTHER", "x",
		// Kubernetes, for a service called relay:
		"RELAY_SERVICE_HOST", "10.0.0.1",
		"RELAY_SERVICE_PORT", "8470",
		"RELAY_SERVICE_PORT_HTTP_METRICS", "9464",
		"RELAY_PORT", "tcp://10.0.0.1:8470",
		"RELAY_PORT_8470_TCP", "tcp://10.0.0.1:8470",
		"RELAY_PORT_8470_TCP_PROTO", "tcp",
		"RELAY_PORT_8470_TCP_PORT", "8470",
		"RELAY_PORT_8470_TCP_ADDR", "10.0.0.1",
		// and what only looks like it:
		"RELAY_PORTS", "1",
	)
	want := []unknown{
		{"RELAY_AMQPURL", "RELAY_AMQP_URL"},
		{"RELAY_HTTP_TIMEOUT_FILE", "RELAY_HTTP_TIMEOUT"},
		{"RELAY_MAX_ATTEMPT", "RELAY_MAX_ATTEMPTS"},
		{"RELAY_PORTS", "RELAY_SOURCE"},
	}
	if got := unknownVariables(env); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestEditDistance(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"ab", "ba", 2},
	}
	for _, tt := range tests {
		if got := editDistance(tt.a, tt.b); got != tt.want {
			t.Errorf("from %q to %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
