package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"relay/throwaway"
)

// These are the names on the demo's own server. The application's password is no secret: the
// display shows it, so that a person can send a message.
const (
	database  = "shop"
	relayRole = "relay"
	appRole   = "app"
)

// servers are what the demo starts for itself. The zero value has none.
type servers struct {
	postgres *throwaway.Postgres
	rabbit   *throwaway.Rabbit // nil: without RabbitMQ
	password string            // of the relay's role
	admin    *pgxpool.Pool     // as the superuser
	app      *pgxpool.Pool     // as the shop
	version  string            // of PostgreSQL
}

// start starts PostgreSQL and, at the same time, RabbitMQ where it is installed, and makes
// database, roles and the shop's table. What was started is kept also if the rest failed:
// the caller calls remove in any case.
func (s *servers) start(ctx context.Context, noRabbit bool, screen *screen) error {
	bin, err := throwaway.FindPostgres(0)
	if err != nil {
		return fmt.Errorf("%w (make demo runs it)", err)
	}
	missing := throwaway.FindRabbit()
	switch {
	case noRabbit:
		screen.hold("Starting a throw-away PostgreSQL …")
	case missing != nil:
		screen.hold("Starting a throw-away PostgreSQL …")
		screen.print("Without RabbitMQ: " + missing.Error())
	default:
		screen.hold("Starting a throw-away PostgreSQL and RabbitMQ (faster: --no-rabbitmq) …")
	}
	group, starting := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		s.postgres, err = throwaway.StartPostgres(starting, throwaway.PostgresConfig{Name: "relay-demo-postgres", BinDir: bin})
		return err
	})
	if !noRabbit && missing == nil {
		group.Go(func() (err error) {
			s.rabbit, err = throwaway.StartRabbit(starting, throwaway.RabbitConfig{Name: "relay-demo-rabbitmq"})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return s.furnish(ctx)
}

// furnish makes what a person would make by hand: a database, a role for the relay that
// may replicate and create its schema, and an application with a table of its own.
func (s *servers) furnish(ctx context.Context) (err error) {
	s.password = rand.Text()
	conn, err := pgx.Connect(ctx, s.postgres.URL(throwaway.Superuser, "", "postgres"))
	if err != nil {
		return fmt.Errorf("connect to the demo's PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, statement := range []string{
		"create role " + relayRole + " login replication password '" + s.password + "'",
		"create role " + appRole + " login password '" + appRole + "'",
		"create database " + database,
		"grant create on database " + database + " to " + relayRole,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("furnish the demo's PostgreSQL: %w", err)
		}
	}
	if err := conn.QueryRow(ctx, "select split_part(current_setting('server_version'), ' ', 1)").Scan(&s.version); err != nil {
		return fmt.Errorf("ask PostgreSQL's version: %w", err)
	}
	if s.admin, err = pgxpool.New(ctx, s.postgres.URL(throwaway.Superuser, "", database)+"&search_path=pg_catalog"); err != nil {
		return fmt.Errorf("open a pool: %w", err)
	}
	const orders = `
	create table public.orders (
		id bigint generated always as identity primary key,
		customer text not null, cents integer not null, placed_at timestamptz not null default now()
	);
	grant insert, select on public.orders to ` + appRole
	if _, err := s.admin.Exec(ctx, orders); err != nil {
		return fmt.Errorf("make the shop's table: %w", err)
	}
	s.app, err = pgxpool.New(ctx, s.postgres.URL(appRole, appRole, database))
	return err
}

// remove stops the servers and deletes all they had.
func (s *servers) remove() error {
	for _, pool := range []*pgxpool.Pool{s.admin, s.app} {
		if pool != nil {
			pool.Close()
		}
	}
	var group errgroup.Group
	if s.rabbit != nil {
		group.Go(s.rabbit.Remove)
	}
	var err error
	if s.postgres != nil {
		err = s.postgres.Remove()
	}
	return errors.Join(err, group.Wait())
}
