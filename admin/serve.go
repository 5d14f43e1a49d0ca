package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Bounds of every server, against clients that are slow, idle or endless.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = time.Minute
	maxHeaderBytes    = 32 << 10
)

// closeGrace is how long requests under way may take once the server is to stop.
const closeGrace = 2 * time.Second

// Serve answers requests on ln with h until ctx ends, then lets those under way finish
// for closeGrace, cuts off the rest, and returns nil. An error means that it could not go
// on before. Either way ln is closed.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
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
	err := server.Serve(ln)
	if !errors.Is(err, http.ErrServerClosed) && stop() {
		_ = server.Close()
		return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
	}
	<-closed
	return nil
}
