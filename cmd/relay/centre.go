package main

import (
	"net/http"

	"github.com/jackc/pgx/v5"

	"relay"
	"relay/admin"
	"relay/admin/access"
	"relay/admin/api"
	"relay/admin/console"
	"relay/operate"
)

// newCentre returns the message centre: the API and the console, beside the endpoints that need no token.
func (s *service) newCentre(health *admin.Health) (http.Handler, error) {
	guard := access.New(string(s.config.AdminToken), string(s.config.ViewerToken))
	centre, err := api.New(api.Config{
		Service: s.people, Guard: guard, Process: livingProcess{s, health}, Settings: s.config.settings(), Version: version(), Log: s.log,
	})
	if err != nil {
		return nil, err
	}
	endpoints, brief := admin.NewHandler(health, s.registry, s.log), admin.NewHandler(health.Brief(), s.registry, s.log)
	open := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who, err := guard.Identify(r); err != nil || who.Role == access.None {
			brief.ServeHTTP(w, r)
			return
		}
		endpoints.ServeHTTP(w, r)
	})
	pages, err := console.NewHandler()
	if err != nil {
		return nil, err
	}
	return admin.NewCentre(api.Prefix, centre, open, pages), nil
}

// people returns the service that does what people ask for, over connections of its own. Nil means that the relay
// has no database yet.
func (s *service) people() *operate.Service {
	select {
	case <-s.wired:
		return s.operate
	default:
		return nil
	}
}

// livingProcess is what the API is told of the process.
type livingProcess struct {
	*service
	health *admin.Health
}

// Live tells how the process stands.
func (p livingProcess) Live() (live operate.Live) {
	live.Conditions = p.health.Conditions()
	for i := range live.Conditions {
		if c := &live.Conditions[i]; !c.Well {
			c.Fix = "relay doctor"
		}
	}
	select {
	case <-p.wired:
	default:
		return live
	}
	status := p.engine.Status()
	live.InFlight, live.InFlightBytes = status.InFlight, status.Bytes
	for _, c := range p.dispatcher.OpenCircuits() {
		live.AddCircuit(c.Name, c.Since)
	}
	return live
}

// settings are the values of variables that people may see.
func (c Config) settings() api.Settings {
	s := api.Settings{
		Source: c.Source, Capture: string(c.Capture), Broker: c.AMQPURL != "", AckURL: c.AckURL != "", Signing: len(c.HTTPSecrets) > 0,
		TimeoutMS: c.HTTPTimeout.Milliseconds(), Concurrency: c.HTTPConcurrency, BackoffMS: []int64{}, MaxAttempts: c.MaxAttempts,
		GiveUpAfterMS: c.GiveUpAfter.Milliseconds(), RetentionMS: c.Retention.Milliseconds(), MaxPayload: int64(c.MaxPayload),
		RowDestinations: c.RowDestinations, HidePayloads: c.HidePayloads, Schema: "relay",
	}
	if c.DefaultDestination.Kind != relay.TargetNone {
		s.DefaultDestination = c.DefaultDestination.Redacted()
	}
	for _, interval := range c.Backoff {
		s.BackoffMS = append(s.BackoffMS, interval.Milliseconds())
	}
	if conn, err := pgx.ParseConfig(string(c.DatabaseURL)); err == nil {
		s.Database, s.DatabaseHost = conn.Database, conn.Host
	}
	return s
}
