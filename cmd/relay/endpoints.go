package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"

	"relay"
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

// probes are the lines of /readyz. Database, identity and shards decide; a doorbell or a destination
// that cannot be had costs time and no message, and must not fail a rollout.
func (s *service) probes() []admin.Probe {
	probes := []admin.Probe{
		{Name: "configuration", Decides: true, Check: func(context.Context) (string, error) { return "valid", nil }},
		{Name: "database", Decides: true, Check: s.probeDatabase},
		{Name: "identity", Decides: true, Check: s.probeIdentity},
		{Name: "shards", Decides: true, Check: s.whenWired(s.probeShards)},
		{Name: "writing", Check: s.whenWired(s.probeEngine)},
		{Name: "circuits", Check: s.whenWired(s.probeCircuits)},
		{Name: "memory", Check: s.whenWired(s.probeMemory)},
	}
	if s.config.Capture != CapturePoll {
		probes = append(probes, admin.Probe{Name: string(s.config.Capture), Check: s.whenWired(s.probeDoorbell)})
	}
	for _, t := range technologies() {
		if described := t.describe(s.config); t.probe != "" && described.Missing == nil {
			probes = append(probes, admin.Probe{Name: t.probe, Check: s.whenWired(func() (string, error) { return s.probeLink(described.Name) })})
		}
	}
	return probes
}

// whenWired keeps a probe from looking at parts that are not built yet.
func (s *service) whenWired(check func() (string, error)) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		select {
		case <-s.wired:
			return check()
		default:
			return "", errors.New("the relay is starting")
		}
	}
}

func (s *service) probeDatabase(ctx context.Context) (string, error) {
	select {
	case <-s.wired:
		return "answers", s.store.Ping(ctx)
	default:
	}
	if err := s.away.Load(); err != nil && *err != nil {
		return "", errors.New("not connected yet: " + oneLine(*err))
	}
	return "", errors.New("not connected yet")
}

func (s *service) probeShards() (string, error) {
	status := s.engine.Status()
	switch {
	case status.Shards > 0:
		return fmt.Sprintf("owns %d of %d, %d relays", status.Shards, relay.Shards, status.Relays), nil
	case status.Relays > 0:
		return fmt.Sprintf("waits for shards that other relays hold, %d relays", status.Relays), nil
	}
	return "", errors.New("no lease at present: the database has not been asked for one, or does not renew it")
}

func (s *service) probeEngine() (string, error) {
	status := s.engine.Status()
	if status.Trouble != "" {
		return "", errors.New(status.Trouble)
	}
	return fmt.Sprintf("%d in flight, %d bytes", status.InFlight, status.Bytes), nil
}

func (s *service) probeCircuits() (string, error) {
	open := s.dispatcher.Open()
	if len(open) == 0 {
		return "all closed", nil
	}
	const shown = 5
	text := strings.Join(open[:min(len(open), shown)], ", ")
	return "", fmt.Errorf("%d destinations are down: %s", len(open), text)
}

// probeMemory tells what waits in the table because its destination has its share of memory, and what waits for
// messages with many deliveries.
func (s *service) probeMemory() (string, error) {
	const shown = 5
	withheld := s.heldBack()
	if len(withheld) == 0 {
		return "no destination has more than its share", nil
	}
	return "", fmt.Errorf("%d held back: %s", len(withheld), strings.Join(withheld[:min(len(withheld), shown)], "; "))
}

func (s *service) probeDoorbell() (string, error) {
	state := s.doorbell.State()
	if !state.Streaming {
		return "", errors.New(state.String())
	}
	return state.String(), nil
}

func (s *service) probeLink(technology string) (string, error) {
	up, text := s.links[technology].state()
	if !up {
		return "", errors.New(text)
	}
	return text, nil
}
