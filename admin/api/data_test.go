package api

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"relay/operate"
	"relay/sql"
	"relay/test/harness"
)

// withData starts an API over a database of its own, which a test may fill.
func withData(t testing.TB, c Config) (*fixture, *pgxpool.Pool) {
	t.Helper()
	db := harness.Database(t)
	store, err := sql.Open(t.Context(), db.URL, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if _, _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), db.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	service := operate.New(store.Console())
	c.Service = func() *operate.Service { return service }
	return serve(t, c), pool
}

// execSQL runs SQL.
func execSQL(t testing.TB, pool *pgxpool.Pool, statement string, arguments ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := pool.Exec(ctx, statement, arguments...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// The messages that fill makes: one for each state.
const (
	idPending   = "018f0000-0000-7000-8000-000000000001"
	idDead      = "018f0000-0000-7000-8000-000000000002"
	idDone      = "018f0000-0000-7000-8000-000000000003"
	idRejected  = "018f0000-0000-7000-8000-000000000004"
	idAwaiting  = "018f0000-0000-7000-8000-000000000005"
	idNone      = "018f0000-0000-7000-8000-0000000000ff"
	idHeldKey   = "018f0000-0000-7000-8000-000000000006"
	idBehindKey = "018f0000-0000-7000-8000-000000000007"
)

// fill makes a subscription and a message in each state.
func fill(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	execSQL(t, pool, `insert into relay.subscription (name, topics, target, on_dead, secrets, headers) values
		('stock', '{order.#}', 'http://user:hush@stock.example/in', 'block', '{whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}', '{"authorization":"hush"}')`)
	execSQL(t, pool, `insert into relay.outbox (id, topic, key, payload, headers, source, status, outstanding, finished_at, cause, last_error, created_at) values
		($1, 'order.created', null, '{"a" :1}', '{"x-a":"1","authorization":"hush"}', 'shop', 'pending', 0, null, null, null, now()),
		($2, 'order.created', null, '{"a":2}', '{}', 'shop', 'dead', 0, now(), null, 'HTTP 500: boom 17', now() - interval '1 minute'),
		($3, 'order.paid', null, '{"a":3}', '{}', 'shop', 'done', 0, now(), null, null, now() - interval '2 minutes'),
		($4, 'lost', null, '{"a":4}', '{}', null, 'rejected', 0, now(), 'rejected: route', 'no route', now() - interval '3 minutes'),
		($5, 'order.created', null, '{"a":5}', '{}', 'shop', 'open', 1, null, null, null, now() - interval '4 minutes'),
		($6, 'order.created', 'k', '{"a":6}', '{}', 'shop', 'dead', 0, now(), null, 'HTTP 500: boom 18', now() - interval '5 minutes'),
		($7, 'order.created', 'k', '{"a":7}', '{}', 'shop', 'open', 1, null, null, null, now() - interval '5 minutes')`,
		idPending, idDead, idDone, idRejected, idAwaiting, idHeldKey, idBehindKey)
	execSQL(t, pool, `insert into relay.delivery (message_id, subscription, target, circuit, status, reason, attempts, handle_attempts, shard, seq, key, due_at, updated_at, last_error, response_code, cause, delivered_at, handled_at, next_attempt_at)
		select o.id, 'stock', 'http://user:hush@stock.example/in', 'stock', d.status::relay.delivery_status, d.reason, d.attempts, d.attempts, o.shard, o.seq, o.key, o.created_at, now(), d.error, d.code, d.cause,
			case when d.status in ('awaiting_ack', 'handled') then now() end, case when d.status = 'handled' then now() end, null
		from (values
			($1::uuid, 'dead', null, 3, 'HTTP 500: boom 17', 500, 'http 500'),
			($2::uuid, 'handled', null, 1, null, 200, null),
			($3::uuid, 'awaiting_ack', null, 1, null, 202, null),
			($4::uuid, 'dead', null, 3, 'HTTP 500: boom 18', 500, 'http 500'),
			($5::uuid, 'waiting', 'key_blocked', 0, null, null, null)
		) as d(id, status, reason, attempts, error, code, cause) join relay.outbox o on o.id = d.id`,
		idDead, idDone, idAwaiting, idHeldKey, idBehindKey)
	execSQL(t, pool, `insert into relay.attempt (message_id, subscription, instance, attempt, started_at, duration, outcome, response_code, error, response)
		values ($1, 'stock', '', 3, now() - interval '30 seconds', interval '12 milliseconds', 'dead', 500, 'HTTP 500: boom 17', 'boom 17')`, idDead)
}
