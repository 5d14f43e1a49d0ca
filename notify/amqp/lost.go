package amqp

import (
	"relay"
	"relay/notify"
)

// lost notes that there is no connection because of err.
func (a *Destination) lost(err error) {
	a.mu.Lock()
	a.lack = notify.LackOf(err, false)
	a.mu.Unlock()
	a.set(nil, errorText(err))
}

// unconnected classifies a delivery for which there is no connection: it counts for the
// broker, unless the relay itself lacks what a connection needs.
func (a *Destination) unconnected(err error) relay.Outcome {
	a.mu.Lock()
	lack := a.lack
	a.mu.Unlock()
	if lack != relay.ResourceNone {
		return notify.Lacking(lack, false, err.Error()+": "+notify.ExplainLack(lack))
	}
	return relay.Outcome{Class: relay.ClassPushFailed, Blame: relay.BlameOrigin, Cause: relay.CauseBrokerDown, Error: err.Error()}
}
