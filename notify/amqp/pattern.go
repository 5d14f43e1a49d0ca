package amqp

import (
	"cmp"

	"relay"
	"relay/notify"
)

// pattern is an element of RELAY_ROW_DESTINATIONS: for exchanges and routing keys, or for queues.
type pattern struct {
	text      string
	queue     bool
	name, key *notify.WordPattern
}

// parsePattern reads an element that is about exchanges or queues.
func parsePattern(element string) (notify.RowPattern, error) {
	target, err := relay.ParseTarget(element)
	if err != nil {
		return nil, err
	}
	p := &pattern{text: target.Raw, queue: target.Kind == relay.TargetQueue}
	if p.name, err = notify.NewWordPattern(target.Exchange + target.Queue); err != nil {
		return nil, err
	}
	if p.key, err = notify.NewWordPattern(cmp.Or(target.RoutingKey, "#")); err != nil {
		return nil, err
	}
	return p, nil
}

// String is the pattern as it was written: the names of exchanges and queues are no secret.
func (p *pattern) String() string { return p.text }

// Matches compares names and routing keys word by word.
func (p *pattern) Matches(target relay.Target, m *relay.Message) bool {
	switch target.Kind {
	case relay.TargetQueue:
		return p.queue && p.name.Matches(target.Queue)
	case relay.TargetExchange:
		return !p.queue && p.name.Matches(target.Exchange) && p.key.Matches(target.RoutingKeyFor(m))
	}
	return false
}
