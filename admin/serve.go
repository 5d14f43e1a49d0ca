package admin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of every server, against clients that are slow, idle or endless.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = time.Minute
	maxHeaderBytes    = 32 << 10
)

// The bounds of a Server where its fields are zero.
const (
	DefaultConnections = 64
	DefaultBody        = 64 << 10
)

// closeGrace is how long requests under way may take once the server is to stop.
const closeGrace = 2 * time.Second

// Server answers the requests of one listener within bounds on what its clients can hold.
type Server struct {
	Handler http.Handler
	// Connections is how many may be open at once. Above it the server closes the one that has
	// waited for its client the longest. Zero means DefaultConnections.
	Connections int
	// Body is how many bytes a request's body may have. It is read whole before the handler runs;
	// a larger one is answered 413. Zero means DefaultBody.
	Body int64
	// Closed counts the connections that were closed to make room. Nil means that they are not counted.
	Closed prometheus.Counter
	Log    *slog.Logger
}

// Serve answers requests on ln until ctx ends, then lets those under way finish
// for closeGrace, cuts off the rest, and returns nil. An error means that it could not go
// on before. Either way ln is closed.
func (s Server) Serve(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler:           s.bounded(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnContext:       withConnection,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close() // the listener is closed already; only connections are left
		}
	})
	err := server.Serve(boundConnections(ln, cmp.Or(s.Connections, DefaultConnections), s.noteClosed))
	if !errors.Is(err, http.ErrServerClosed) && stop() {
		_ = server.Close()
		return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
	}
	<-closed
	return nil
}

func (s Server) noteClosed() {
	if s.Closed != nil {
		s.Closed.Inc()
	}
}

// bounded is the handler behind the bound on bodies. It notes when a connection waits for its
// client: until the request is read, and from the first byte of the answer on.
func (s Server) bounded() http.Handler {
	most := cmp.Or(s.Body, DefaultBody)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := connectionOf(r)
		defer conn.rest()
		if r.ContentLength > most { // what a client announces is not waited for
			r.Body = http.NoBody
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
		var large *http.MaxBytesError
		switch {
		case r.ContentLength > most, errors.As(err, &large):
			w.Header().Set("Connection", "close")
			http.Error(w, fmt.Sprintf("the body is larger than the %d bytes that are allowed", most), http.StatusRequestEntityTooLarge)
			return
		case err != nil:
			http.Error(w, "the body could not be read", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		conn.work(true)
		s.Handler.ServeHTTP(&answering{ResponseWriter: w, conn: conn}, r)
	})
}

// answering is a response that notes when the client begins to be waited for.
type answering struct {
	http.ResponseWriter
	conn *connection
}

// Write implements http.ResponseWriter.
func (a *answering) Write(p []byte) (int, error) {
	a.conn.work(false)
	return a.ResponseWriter.Write(p)
}

// Unwrap gives http.ResponseController what it controls.
func (a *answering) Unwrap() http.ResponseWriter { return a.ResponseWriter }
