package reconcile

import (
	"context"
	"strings"

	"relay"
	"relay/reconcile/machine"
	"relay/sql"
	"relay/wait"
)

// namedCircuits bounds the circuits of rows' own destinations that one look at the table lists: rows may name any
// number.
const namedCircuits = 1000

// The prefixes of destinations whose names say otherwise than the rows that wait for them, which of the two configured
// them: earlier versions named circuits otherwise. No subscription has such a name.
const (
	asOperators = "?/"
	asRows      = "?:"
)

// destinationOf is the name by which the machine knows a circuit.
func destinationOf(p sql.Parked) string {
	switch {
	case p.Direct == relay.CircuitOfRow(p.Circuit):
		return p.Circuit
	case p.Direct:
		return asRows + p.Circuit
	}
	return asOperators + p.Circuit
}

// circuitOf is the inverse of destinationOf.
func circuitOf(destination string) sql.Parked {
	for _, prefix := range []string{asOperators, asRows} {
		if circuit, found := strings.CutPrefix(destination, prefix); found {
			return sql.Parked{Circuit: circuit, Direct: prefix == asRows}
		}
	}
	return sql.Parked{Circuit: destination, Direct: relay.CircuitOfRow(destination)}
}

// parkedReader finds what waits for its destination.
type parkedReader struct {
	*shared
	wanted *queue[machine.Command] // ReadParked and FindBacklog
}

// find finds what waits for its destination when the machine asks for it, until ctx ends.
func (e *parkedReader) find(ctx context.Context) error {
	for wait.Ready(ctx, e.wanted.ready, 0) {
		for _, c := range e.wanted.take(1) {
			answer, err := e.answer(ctx, c)
			if ctx.Err() != nil {
				return nil
			}
			e.trouble.Note("read parked deliveries", err)
			e.loop.tell(answer)
		}
	}
	return nil
}

func (e *parkedReader) answer(ctx context.Context, c machine.Command) (machine.Event, error) {
	switch c := c.(type) {
	case machine.ReadParked:
		out := machine.Parked{Destination: c.Destination}
		found, err := e.config.Store.ParkedDeliveries(ctx, circuitOf(c.Destination), e.leases.Now().Shards, c.After, c.Limit)
		out.Failed = err != nil
		out.Deliveries, out.End = dueDeliveries(found), len(found) < c.Limit
		if len(found) > 0 {
			out.Last = found[len(found)-1].Seq
		}
		return out, err
	case machine.FindBacklog:
		return e.backlog(ctx, c)
	}
	panic("no such command of what is parked")
}

// backlog lists the destinations of operators for which something is parked, and a part of those that rows name.
func (e *parkedReader) backlog(ctx context.Context, c machine.FindBacklog) (machine.Event, error) {
	var out machine.Backlog
	operators, err := e.config.Store.ParkedCircuits(ctx)
	if err != nil {
		return machine.Backlog{Failed: true}, err
	}
	named, err := e.config.Store.ParkedDirectCircuits(ctx, c.After, namedCircuits)
	if err != nil {
		return machine.Backlog{Failed: true}, err
	}
	if len(named) == namedCircuits {
		out.After = named[len(named)-1].Circuit
	}
	for _, parked := range append(operators, named...) {
		out.Destinations = append(out.Destinations, destinationOf(parked))
	}
	return out, nil
}

// wake tells the machine that destinations may have room, until ctx ends.
func (e *parkedReader) wake(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.config.Circuits.Wake():
			e.loop.tell(machine.Worked{})
		}
		if !wait.For(ctx, gather) {
			return nil
		}
	}
}
