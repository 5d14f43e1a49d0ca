package sql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Plain tells the failure of a connection once and in words: the driver repeats it for each address of a host and for
// each way to negotiate TLS. Any other error, and what err is, remains as it was.
func Plain(err error) error {
	var connect *pgconn.ConnectError
	if !errors.As(err, &connect) {
		return err
	}
	var whys []string
	for _, one := range leaves(connect.Unwrap()) {
		if why := whyNoConnection(one); !slices.Contains(whys, why) {
			whys = append(whys, why)
		}
	}
	said := fmt.Sprintf("user %q cannot connect to database %q at %s: %s", connect.Config.User, connect.Config.Database,
		hostOf(connect.Config), strings.Join(whys, "; "))
	return inWords{strings.Replace(err.Error(), connect.Error(), said, 1), err}
}

// inWords is an error in other words.
type inWords struct {
	words string
	err   error
}

func (p inWords) Error() string { return p.words }

func (p inWords) Unwrap() error { return p.err }

// leaves are the errors that were joined.
func leaves(err error) (all []error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			all = append(all, leaves(one)...)
		}
		return all
	}
	return []error{err}
}

// hostOf is where a configuration leads to.
func hostOf(c *pgconn.Config) string {
	if strings.HasPrefix(c.Host, "/") {
		return c.Host // a folder of sockets
	}
	return net.JoinHostPort(c.Host, fmt.Sprint(c.Port))
}

// whyNoConnection says in words why one attempt to connect has failed.
func whyNoConnection(err error) string {
	var server *pgconn.PgError
	var dns *net.DNSError
	var call *os.SyscallError
	switch {
	case errors.As(err, &server):
		return fmt.Sprintf("%s (SQLSTATE %s)", server.Message, server.Code)
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the host name " + dns.Name + " does not resolve"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &call):
		return call.Err.Error()
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
