package main

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"

	"relay/admin"
	"relay/admin/api"
	"relay/notify/webhook"
)

// serveEndpoints opens the metrics, the admin and the acknowledgements' address and serves
// them until ctx ends. An address that cannot be opened is an error before anything is
// served.
func (s *service) serveEndpoints(ctx context.Context, group *errgroup.Group) error {
	health := admin.NewHealth(0, s.probes()...)
	centre, err := s.newCentre(health)
	if err != nil {
		return err
	}
	closed := closedConnections(s.registry)
	files := openFiles()
	addresses := []struct {
		variable    string
		address     Address
		handler     http.Handler
		connections int
		body        int64 // zero: admin.DefaultBody
	}{
		{"RELAY_METRICS_ADDR", s.config.MetricsAddr, admin.NewHandler(health.Brief(), s.registry, s.log), share(files, 16, 64), 0},
		{"RELAY_ADMIN_ADDR", s.config.AdminAddr, centre, share(files, 16, 64), api.MaxBody(int64(s.config.MaxPayload))},
		{"RELAY_ACK_ADDR", s.config.AckAddr, webhook.NewAckHandler(s, s.log), share(files, 8, 512), 0},
	}
	for _, a := range addresses {
		if a.address == "" {
			continue
		}
		var config net.ListenConfig
		listener, err := config.Listen(ctx, "tcp", string(a.address))
		if err != nil {
			return fmt.Errorf("%s=%s: %w: set it to a free address, or to off", a.variable, a.address, err)
		}
		server := admin.Server{
			Handler: a.handler, Connections: a.connections, Body: a.body, Closed: closed.WithLabelValues(a.variable), Log: s.log,
		}
		group.Go(func() error { return server.Serve(ctx, listener) })
	}
	return nil
}
