package sql

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Address leads to a database. What may change while a relay runs is asked for anew before
// each connection, so that a password can be replaced without a restart.
type Address struct {
	// URL is a libpq URL or keyword string: where Reread is set, as it stood at the start. The files that
	// it names, such as client certificates and passwords, are read again for each connection.
	URL string
	// Reread returns the URL as it stands now. Nil: it never changes. Its error names no password.
	Reread func() (string, error)
	// Password returns the password that is valid now, which prevails over the URL's. Nil: the
	// URL's is. Its error names no password.
	Password func(ctx context.Context) (string, error)
}

// AddressError says that the way to the database could not be found out: the file of the URL
// cannot be read, or the command that prints the password failed. It may pass by itself.
type AddressError struct{ Err error }

// Error returns the reason alone, which names the variable.
func (e *AddressError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *AddressError) Unwrap() error { return e.Err }

// errNotLibpq says that a URL cannot be read. The driver's error may hold a part of the password.
var errNotLibpq = errors.New("database URL: it is not one that libpq understands (postgres://user:password@host:port/database)")

// Changes reports whether the address itself may change while a relay runs.
func (a Address) Changes() bool { return a.Reread != nil || a.Password != nil }

// Config returns the configuration of a connection that is opened now. The error is an
// AddressError, or says that the URL cannot be read.
func (a Address) Config(ctx context.Context) (*pgx.ConnConfig, error) {
	url := a.URL
	if a.Reread != nil {
		var err error
		if url, err = a.Reread(); err != nil {
			return nil, &AddressError{err}
		}
	}
	cfg, err := pgx.ParseConfig(url)
	switch {
	case ofFiles(err):
		return nil, &AddressError{fmt.Errorf("database URL: %w", errors.Unwrap(err))}
	case err != nil && a.Reread != nil: // its file may be in the midst of being written
		return nil, &AddressError{errNotLibpq}
	case err != nil:
		return nil, errNotLibpq
	}
	if a.Password != nil {
		if cfg.Password, err = a.Password(ctx); err != nil {
			return nil, &AddressError{err}
		}
	}
	return cfg, nil
}

// ofFiles reports whether an error of the driver is about the files that a URL names, as while a
// certificate is renewed. What it wraps then names files alone.
func ofFiles(err error) bool {
	return err != nil && errors.Unwrap(err) != nil &&
		(errors.As(err, new(*fs.PathError)) || strings.Contains(err.Error(), "failed to configure TLS"))
}

// Renew brings what leads to the database up to date in a configuration that Config made
// earlier. What others have added to it, such as how it dials, stays.
func (a Address) Renew(ctx context.Context, cfg *pgx.ConnConfig) error {
	now, err := a.Config(ctx)
	if err != nil {
		return err
	}
	cfg.Host, cfg.Port, cfg.Database, cfg.User, cfg.Password = now.Host, now.Port, now.Database, now.User, now.Password
	cfg.TLSConfig, cfg.SSLNegotiation, cfg.Fallbacks = now.TLSConfig, now.SSLNegotiation, now.Fallbacks
	cfg.ValidateConnect = now.ValidateConnect
	cfg.RuntimeParams = now.RuntimeParams
	return nil
}

// pool returns what pools to the address start from.
func (a Address) pool(ctx context.Context) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(a.URL)
	if ofFiles(err) {
		_, err = a.Config(ctx) // says so
		return nil, err
	}
	if err != nil {
		return nil, errNotLibpq
	}
	return config, a.Renew(ctx, config.ConnConfig)
}

// before returns what a pool does before it opens a connection: it renews a copy of base and
// lets settle give it its settings.
func (a Address) before(base *pgx.ConnConfig, settle func(*pgconn.Config)) func(context.Context, *pgx.ConnConfig) error {
	return func(ctx context.Context, cfg *pgx.ConnConfig) error {
		now := base.Copy()
		if err := a.Renew(ctx, now); err != nil {
			return err
		}
		settle(&now.Config)
		*cfg = *now
		return nil
	}
}
