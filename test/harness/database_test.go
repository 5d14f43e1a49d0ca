package harness

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"relay/throwaway"
)

func TestDatabaseIsTheTestsOwn(t *testing.T) {
	t.Parallel()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			d := Database(t)
			if _, err := d.Admin(t).Exec(t.Context(), "create table only_here (n int)"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestDatabaseOnEachVersion(t *testing.T) {
	t.Parallel()
	for major := throwaway.OldestPostgres; major <= throwaway.NewestPostgres; major++ {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			var version int
			err := DatabaseOn(t, major).App(t).QueryRow(t.Context(),
				"select current_setting('server_version_num')::int / 10000").Scan(&version)
			if err != nil || version != major {
				t.Errorf("version %d, error %v", version, err)
			}
		})
	}
}

func TestRelayHasItsGrantsAndNoMore(t *testing.T) {
	t.Parallel()
	d := Database(t)
	var super, replication, createDB, createRole, connect, create, temporary bool
	err := d.Relay(t).QueryRow(t.Context(), `
		select rolsuper, rolreplication, rolcreatedb, rolcreaterole,
			has_database_privilege(current_database(), 'connect'),
			has_database_privilege(current_database(), 'create'),
			has_database_privilege(current_database(), 'temporary')
		from pg_roles where rolname = current_user`).
		Scan(&super, &replication, &createDB, &createRole, &connect, &create, &temporary)
	if err != nil {
		t.Fatal(err)
	}
	if super || createDB || createRole || temporary {
		t.Errorf("superuser %v, createdb %v, createrole %v, temporary %v: want none", super, createDB, createRole, temporary)
	}
	if !replication || !connect || !create {
		t.Errorf("replication %v, connect %v, create %v: want all", replication, connect, create)
	}
}

func TestAppHasNoRights(t *testing.T) {
	t.Parallel()
	_, err := Database(t).App(t).Exec(t.Context(), "create schema mine")
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "42501" {
		t.Errorf("create schema as app: %v, want insufficient privilege", err)
	}
}

func TestOwnServerMayBeDownWhenTheTestEnds(t *testing.T) {
	t.Parallel()
	server := Postgres(t, throwaway.PostgresConfig{})
	if err := NewDatabase(t, server).Relay(t).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := server.Kill(); err != nil {
		t.Error(err)
	}
}

func TestDropEndsWhatHoldsTheDatabase(t *testing.T) {
	t.Parallel()
	server := sharedPostgres(t, sharedMajor)
	var name string
	t.Run("holder", func(t *testing.T) {
		d := Database(t)
		name = d.Name
		hold(t, d)
	})
	err := asAdmin(context.Background(), server, "postgres", func(conn *pgx.Conn) error {
		var left int
		err := conn.QueryRow(t.Context(), `
			select (select count(*) from pg_database where datname = $1)
				+ (select count(*) from pg_replication_slots where database = $1)
				+ (select count(*) from pg_prepared_xacts where database = $1)`, name).Scan(&left)
		if left != 0 {
			t.Errorf("%d databases, slots and prepared transactions are left", left)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// hold leaves an active slot, an idle slot, a prepared transaction and an open connection.
func hold(t *testing.T, d *DB) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, d.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"create table held (n int)",
		"create publication held for table held",
		"select pg_create_logical_replication_slot('idle_' || current_database(), 'pgoutput')",
		"select pg_create_logical_replication_slot('read_' || current_database(), 'pgoutput')",
		"begin",
		"insert into held values (1)",
		"prepare transaction 'it''s held in " + d.Name + "'",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	readSlot(t, d)
}

// readSlot starts to stream from the slot read_<database> and leaves it at that.
func readSlot(t *testing.T, d *DB) {
	ctx := context.Background()
	stream, err := pgconn.Connect(ctx, d.URL+"&replication=database")
	if err != nil {
		t.Fatal(err)
	}
	stream.Frontend().SendQuery(&pgproto3.Query{String: "start_replication slot read_" + d.Name +
		" logical 0/0 (proto_version '1', publication_names 'held')"})
	if err := stream.Frontend().Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.ReceiveMessage(ctx); err != nil {
		t.Fatal(err)
	}
}
