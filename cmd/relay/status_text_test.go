package main

import (
	"strings"
	"testing"

	"relay/operate"
)

// A relay that died is not shown as one that hears the stream, nor do its shards count as owned.
func TestStatusSaysThatARelayFellSilent(t *testing.T) {
	t.Parallel()
	dead := operate.RelayStatus{Name: "old", Version: "v1", Streaming: true, Expired: 64, SeenAgo: 41, Silent: true}
	text := statusText(operate.Status{Relays: []operate.RelayStatus{dead}, Messages: operate.MessageStatus{Rows: new(int64)}}, 100)
	for _, want := range []string{"relay      old (v1): silent for 41s, it did not end in order; 64 shards wait for another relay\n", "relay      none runs\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	heir := operate.RelayStatus{Name: "new", Version: "v1", SeenAgo: 0.1}
	if text = statusText(operate.Status{Relays: []operate.RelayStatus{dead, heir}, Messages: operate.MessageStatus{Rows: new(int64)}}, 100); strings.Contains(text, "none runs") {
		t.Errorf("one runs:\n%s", text)
	}
}
