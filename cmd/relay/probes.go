package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"relay"
	"relay/admin"
	"relay/operate"
)

// probes are the lines of /readyz. Database, identity and shards decide; a doorbell or a destination
// that cannot be had costs time and no message, and must not fail a rollout.
func (s *service) probes() []admin.Probe {
	probes := []admin.Probe{
		{Name: "configuration", Decides: true, Check: func(context.Context) (operate.Words, error) {
			return operate.Words{State: operate.StateValid, Text: "valid"}, nil
		}},
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
			probes = append(probes, admin.Probe{Name: t.probe, Check: s.whenWired(func() (operate.Words, error) { return s.probeLink(described.Name) })})
		}
	}
	return probes
}

// whenWired keeps a probe from looking at parts that are not built yet.
func (s *service) whenWired(check func() (operate.Words, error)) func(context.Context) (operate.Words, error) {
	return func(context.Context) (operate.Words, error) {
		select {
		case <-s.wired:
			return check()
		default:
			return operate.Words{}, operate.Words{State: operate.StateStarting, Text: "the relay is starting"}
		}
	}
}

func (s *service) probeDatabase(ctx context.Context) (operate.Words, error) {
	select {
	case <-s.wired:
		return operate.Words{State: operate.StateAnswers, Text: "answers"}, s.store.Ping(ctx)
	default:
	}
	away := operate.Words{State: operate.StateNotConnected, Text: "not connected yet"}
	if err := s.away.Load(); err != nil && *err != nil {
		away.Text += ": " + oneLine(*err)
	}
	return operate.Words{}, away
}

// probeIdentity says in /readyz why nothing is sent from a copy.
func (s *service) probeIdentity(ctx context.Context) (operate.Words, error) {
	if copied := s.copied.Load(); copied != nil {
		return operate.Words{}, operate.Words{State: operate.StateCopy, Text: copied.Error()}
	}
	return s.whenWired(func() (operate.Words, error) {
		values := map[string]string{"database": strconv.FormatUint(uint64(s.identity.Database), 10)}
		if s.identity.System != 0 {
			values["server"] = fmt.Sprint(s.identity.System)
		}
		return operate.Words{State: operate.StateKnown, Values: values, Text: s.identity.String()}, nil
	})(ctx)
}

func (s *service) probeShards() (operate.Words, error) {
	status := s.engine.Status()
	values := map[string]string{"n": strconv.Itoa(status.Shards), "of": strconv.Itoa(relay.Shards), "relays": strconv.Itoa(status.Relays)}
	switch {
	case status.Shards > 0:
		return operate.Words{State: operate.StateOwns, Values: values, Text: fmt.Sprintf("owns %d of %d, %d relays", status.Shards, relay.Shards, status.Relays)}, nil
	case status.Relays > 0:
		return operate.Words{State: operate.StateWaits, Values: values, Text: fmt.Sprintf("waits for shards that other relays hold, %d relays", status.Relays)}, nil
	}
	const why = "no lease at present: the database has not been asked for one, or does not renew it"
	return operate.Words{}, operate.Words{State: operate.StateNoLease, Text: why}
}

func (s *service) probeEngine() (operate.Words, error) {
	status := s.engine.Status()
	if status.Trouble != "" {
		return operate.Words{}, operate.Words{State: operate.StateFailed, Text: status.Trouble}
	}
	values := map[string]string{"messages": strconv.Itoa(status.InFlight), "bytes": strconv.FormatInt(status.Bytes, 10)}
	return operate.Words{State: operate.StateWrites, Values: values, Text: fmt.Sprintf("%d in flight, %d bytes", status.InFlight, status.Bytes)}, nil
}

// probeShown is how many destinations a probe names.
const probeShown = 5

func (s *service) probeCircuits() (operate.Words, error) {
	open := s.dispatcher.Open()
	if len(open) == 0 {
		return operate.Words{State: operate.StateClosed, Text: "all closed"}, nil
	}
	names := strings.Join(open[:min(len(open), probeShown)], ", ")
	return operate.Words{}, operate.Words{
		State: operate.StateOpen, Values: map[string]string{"n": strconv.Itoa(len(open)), "names": names},
		Text: fmt.Sprintf("%d destinations are down: %s", len(open), names),
	}
}

// probeMemory tells what waits in the table because its destination has its share of memory, and what waits for
// messages with many deliveries.
func (s *service) probeMemory() (operate.Words, error) {
	withheld := s.heldBack()
	if len(withheld) == 0 {
		return operate.Words{State: operate.StateFree, Text: "no destination has more than its share"}, nil
	}
	return operate.Words{}, operate.Words{
		State: operate.StateHeld, Values: map[string]string{"n": strconv.Itoa(len(withheld))},
		Text: fmt.Sprintf("%d held back: %s", len(withheld), strings.Join(withheld[:min(len(withheld), probeShown)], "; ")),
	}
}

func (s *service) probeDoorbell() (operate.Words, error) {
	state := s.doorbell.State()
	words := operate.Words{State: operate.StateStreams, Values: map[string]string{}, Text: state.String()}
	if state.ConfirmedLag >= 0 {
		words.Values["lag"] = strconv.FormatInt(state.ConfirmedLag, 10)
		words.Values["restart_lag"] = strconv.FormatInt(state.RestartLag, 10)
	}
	if state.Streaming {
		return words, nil
	}
	words.State = operate.StateNoStream
	return operate.Words{}, words
}

func (s *service) probeLink(technology string) (operate.Words, error) {
	up, text := s.links[technology].state()
	if !up {
		return operate.Words{}, operate.Words{State: operate.StateNoBroker, Text: text}
	}
	return operate.Words{State: operate.StateConnected, Text: text}, nil
}
