package sql

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay"
	"relay/test/harness"
)

// lift takes the limits from what an application may insert: rows from before they were set may
// exceed them.
func lift(t *testing.T, admin *pgxpool.Pool) {
	t.Helper()
	if _, err := admin.Exec(t.Context(), "alter table relay.outbox disable trigger outbox_checked"); err != nil {
		t.Fatal(err)
	}
}

// Headers, source and destination were read whatever their size, and counted for nothing.
func TestAllOfARowCounts(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	lift(t, admin)
	const max = 1000
	for name, c := range map[string]struct {
		columns, values string
		want            Verdict
		size            int64
	}{
		"body alone":             {"topic, body, content_type", `'t', convert_to(repeat('x', 1000), 'UTF8'), 'x/y'`, Readable, 1000},
		"one byte more":          {"topic, body, content_type", `'t', convert_to(repeat('x', 1001), 'UTF8'), 'x/y'`, TooLarge, 1001},
		"body and source":        {"topic, body, content_type, source", `'t', convert_to(repeat('x', 900), 'UTF8'), 'x/y', repeat('s', 101)`, TooLarge, 1001},
		"body and destination":   {"topic, body, content_type, destination", `'t', convert_to(repeat('x', 900), 'UTF8'), 'x/y', repeat('d', 101)`, TooLarge, 1001},
		"destination alone":      {"topic, destination", `'t', repeat('d', 1000)`, Readable, 1000},
		"body and headers":       {"topic, body, content_type, headers", `'t', convert_to(repeat('x', 500), 'UTF8'), 'x/y', jsonb_build_object('h', repeat('v', 600))`, TooLarge, 0},
		"headers in their place": {"topic, body, content_type, headers", `'t', convert_to(repeat('x', 500), 'UTF8'), 'x/y', jsonb_build_object('h', repeat('v', 400))`, Readable, 0},
		"compressed headers":     {"topic, headers", `'t', jsonb_build_object('h', repeat('v', 5000))`, TooLarge, 0},
		"destination of 50 MB":   {"topic, destination", `'t', repeat('d', 50000000)`, TooLarge, 50000000},
	} {
		id := insert(t, admin, c.columns, c.values)
		rows, err := s.ReadMessages(t.Context(), []relay.ID{id}, Limits{MaxPayload: max, Budget: 1 << 20})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		row := rows[0]
		if row.Verdict != c.want || c.size > 0 && row.Size != c.size {
			t.Errorf("%s: verdict %d, size %d; want %d, %d", name, row.Verdict, row.Size, c.want, c.size)
		}
		if n := len(row.Message.Destination) + len(row.Message.Source) + len(row.Message.Headers); row.Verdict != Readable && n > 0 {
			t.Errorf("%s: %d bytes of it were read", name, n)
		}
	}
}

// 151 rows with headers of 100 MB each, which compress well, stopped all reading: one statement
// uncompressed all of them.
func TestHeadersThatCompressWellAreJudgedCheaply(t *testing.T) {
	t.Parallel()
	for major, methods := range map[int][]string{15: {"pglz", "lz4"}, 18: {"pglz"}} { // the 18 from npm has no LZ4
		for _, method := range methods {
			t.Run(fmt.Sprint(major, " ", method), func(t *testing.T) {
				db := harness.DatabaseOn(t, major)
				s, admin := openAt(t, db.URL), db.Admin(t)
				if _, _, err := s.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
				lift(t, admin)
				exec := func(statement string, arguments ...any) {
					t.Helper()
					if _, err := admin.Exec(t.Context(), statement, arguments...); err != nil {
						t.Fatal(err)
					}
				}
				exec("alter table relay.outbox alter column headers set compression " + method)
				exec("create table big (headers jsonb compression " + method + ")")
				exec("insert into big select jsonb_build_object('h', repeat('v', $1::int))", 100_000_000)
				exec("insert into relay.outbox (topic, key, headers) select 't', case when n % 2 = 0 then 'k' || n end, headers from big, generate_series(1, 151) n")
				// As large as they may be for their size to be looked at, if they are compressed.
				exec("truncate big")
				exec("insert into big select jsonb_build_object('h', repeat('v', $1::int))", 10_000_000)
				exec("insert into relay.outbox (topic, key, headers) select 't', case when n % 2 = 0 then 'm' || n end, headers from big, generate_series(1, 100) n")
				for i := range 99 {
					insert(t, admin, "topic, key, headers", fmt.Sprintf(`'t', %s, '{"a": "b"}'`, []string{"null", "'s'"}[i%2]))
				}
				var ids []relay.ID
				var keys []Key
				rows, err := admin.Query(t.Context(), "select id, shard, coalesce(key, '') from relay.outbox order by seq")
				if err != nil {
					t.Fatal(err)
				}
				for rows.Next() {
					var id relay.ID
					key := Key{Most: 64}
					if err := rows.Scan((*[16]byte)(&id), &key.Shard, &key.Key); err != nil {
						t.Fatal(err)
					}
					if ids = append(ids, id); key.Key != "" {
						keys = append(keys, key)
					}
				}
				limits := Limits{MaxPayload: 1 << 20, Budget: 1 << 24}
				begun := time.Now()
				found, err := s.ReadMessages(t.Context(), ids, limits)
				took := time.Since(begun)
				if err != nil {
					t.Fatal(err)
				}
				counts := map[Verdict]int{}
				for _, row := range found {
					counts[row.Verdict]++
				}
				if counts[Readable] != 99 || counts[TooLarge] < 151 || counts[TooLarge]+counts[NoRoom] != 251 {
					t.Errorf("verdicts %v", counts)
				}
				begun = time.Now()
				_, byKey, err := s.ReadKeys(t.Context(), keys, limits, nil, 1)
				if err != nil {
					t.Fatal(err)
				}
				tookKeys := time.Since(begun)
				counts = map[Verdict]int{}
				for _, state := range byKey {
					for _, row := range state.Rows {
						counts[row.Verdict]++
					}
				}
				if counts[TooLarge] < 75 {
					t.Errorf("verdicts by key %v", counts)
				}
				t.Logf("read by id in %s, by key in %s", took, tookKeys)
				if most := 5 * time.Second; took > most || tookKeys > most {
					t.Errorf("read by id in %s, by key in %s", took, tookKeys)
				}
			})
		}
	}
}

// What is too large of a delivery's message is not read either, nor is its target.
func TestALargeMessageOfADeliveryIsNotRead(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	admin := db.Admin(t)
	lift(t, admin)
	id := insert(t, admin, "topic, destination, status, outstanding", `'t', repeat('d', 2000000), 'open', 1`)
	if _, err := admin.Exec(t.Context(), `insert into relay.delivery (message_id, subscription, instance, target, circuit, status, due_at, shard, seq)
		select id, 'direct', 'd', destination, 'c', 'waiting', now(), shard, seq from relay.outbox`); err != nil {
		t.Fatal(err)
	}
	rows, err := s.ReadDeliveries(t.Context(), []relay.DeliveryID{{Message: id, Subscription: "direct", Instance: "d"}}, Limits{MaxPayload: 1 << 20, Budget: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if rows[0].Verdict != TooLarge || rows[0].Target != "" || rows[0].Message.Destination != "" {
		t.Errorf("verdict %d, target of %d bytes", rows[0].Verdict, len(rows[0].Target))
	}
	found, err := s.FindMessages(t.Context(), MessageFilter{}, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(found); len(text) > 10_000 || !strings.Contains(text, "ddd") {
		t.Errorf("a list holds %d bytes", len(text))
	}
}
