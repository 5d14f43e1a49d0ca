package harness

import (
	"testing"

	"relay/throwaway"
)

// FreeAddress returns an address of 127.0.0.1 on which nothing listens, nor will until the test
// ends, unless the test itself does.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, release, err := throwaway.FreeAddress()
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	t.Cleanup(release)
	return address
}
