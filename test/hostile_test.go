package test

import (
	"slices"
	"testing"

	"relay/test/harness"
	"relay/throwaway"
)

// TestNoHostileFunctionRuns plants, in a schema on the search path of applications, operators
// and superusers, overloads of every function and operator that the product's statements
// use, and does everything that relays and persons do.
func TestNoHostileFunctionRuns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path  string // of relay, application and superuser, as part of a URL
		casts bool   // plant what fits by implicit casts too, which makes many calls ambiguous
	}{
		"the default path":         {},
		"public before pg_catalog": {path: "&search_path=public%2Cpg_catalog"},
		"arguments of every kind":  {path: "&search_path=public%2Cpg_catalog", casts: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driveAmongHostile(t, c.path, c.casts)
		})
	}
}

func driveAmongHostile(t *testing.T, path string, casts bool) {
	db := harness.NewDatabase(t, harness.Postgres(t, throwaway.PostgresConfig{Settings: map[string]string{"wal_level": "logical", "fsync": "off"}}))
	planter := newPlanter(t, db)
	planter.cleanup(t)
	mallory := connect(t, db.Server.URL("mallory", "mallory", db.Name)+"&search_path=pg_catalog")
	names := calledNames(t)
	planter.plant(t, mallory, hostileFunctions(t, mallory, names, plantable, casts))
	planter.plant(t, mallory, []hostile{{name: "set_bit(bytea, integer, integer)",
		make: "create or replace function public.set_bit(bytea, integer, integer) returns bytea language plpgsql as BODY"}})
	all := slices.Concat(plantable, []string{"uuid[]", "text[]", "interval[]", "integer[]"})
	planter.plant(t, mallory, hostileOperators(all, all))
	planter.has(t, "unnest(uuid[])", "unnest(text[])", "set_bit(bytea, integer, integer)", "array_position(text[], text)", "cardinality(text[])",
		"count(uuid)", "double precision > integer", "double precision * integer")

	d := driven{db: db, relayURL: db.URL + path, appURL: db.AppURL + path, adminURL: db.AdminURL + path, receiver: newFailingReceiver(t)}
	d.drive(t, func() {
		// The types of the schema are closed to other roles. A superuser could have opened them.
		admin := connect(t, db.AdminURL+"&search_path=pg_catalog")
		for _, statement := range []string{"grant usage on schema relay to mallory", "grant usage on type relay.message_status, relay.delivery_status to mallory"} {
			if _, err := admin.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		enums := []string{"relay.message_status", "relay.delivery_status"}
		planter.plant(t, mallory, hostileFunctions(t, mallory, names, enums, casts))
		planter.plant(t, mallory, slices.Concat(hostileOperators(enums[:1], enums[:1]), hostileOperators(enums[1:], enums[1:]),
			hostileOperators(enums, []string{"text"}), hostileOperators([]string{"text"}, enums)))
		planter.has(t, "relay.message_status = relay.message_status", "relay.delivery_status <> relay.delivery_status", "count(relay.message_status)")
	})
}

// cleanup tells at the end of the test what ran, however the test ended.
func (p *planter) cleanup(t *testing.T) {
	t.Cleanup(func() {
		if ran := p.caught(t); ran != "" {
			t.Errorf("a hostile function ran: %s", ran)
		}
	})
}

// has fails the test if one of these could not be planted.
func (p *planter) has(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if !slices.Contains(p.planted, name) {
			t.Errorf("%s was not planted", name)
		}
	}
}
