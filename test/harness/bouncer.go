package harness

import (
	"testing"

	"relay/throwaway"
)

// Bouncer starts a PgBouncer before the server of a database, for the roles relay and app, and
// removes it at the end. It returns the address at which the relay's role connects.
func Bouncer(t testing.TB, d *DB, settings map[string]string) (url string) {
	t.Helper()
	b, err := throwaway.StartBouncer(t.Context(), throwaway.BouncerConfig{
		Server: d.Server, Users: map[string]string{relayRole: relayRole, appRole: appRole}, Settings: settings,
	})
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Remove(); err != nil {
			t.Errorf("harness: %v", err)
		}
	})
	return b.URL(relayRole, relayRole, d.Name)
}
