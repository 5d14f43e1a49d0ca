package notify

import "relay"

// lost says that there is no connection because of err.
func (a *AMQP) lost(err error) {
	a.mu.Lock()
	a.lack = lackOf(err, false)
	a.mu.Unlock()
	a.set(nil, amqpErrorText(err))
}

// unconnected classifies a delivery for which there is no connection: it counts for the
// broker, unless the relay itself lacks what a connection needs.
func (a *AMQP) unconnected(err error) relay.Outcome {
	a.mu.Lock()
	lack := a.lack
	a.mu.Unlock()
	if lack != relay.ResourceNone {
		return lacking(lack, false, err.Error()+": "+explainLack(lack))
	}
	return relay.Outcome{Class: relay.ClassPushFailed, Blame: relay.BlameOrigin, Cause: relay.CauseBrokerDown, Error: err.Error()}
}
