package notify

import (
	"context"
	"time"
)

// watchdog cancels an attempt of its worker that outlives its time. As long as attempts keep to theirs, one context
// serves them all: to make one for each costs more than the rest of a dispatch. It belongs to one goroutine.
type watchdog struct {
	base   context.Context // ends when no attempt may go on
	ctx    context.Context // nil: the last attempt was cut off, or there was none
	cancel context.CancelFunc
	timer  *time.Timer
}

// begin returns the context of an attempt that may take limit. The caller calls end when the attempt has ended.
func (w *watchdog) begin(limit time.Duration) context.Context {
	if w.ctx != nil {
		w.timer.Reset(limit)
		return w.ctx
	}
	w.ctx, w.cancel = context.WithCancel(w.base)
	w.timer = time.AfterFunc(limit, w.cancel)
	return w.ctx
}

// end says that the attempt has ended.
func (w *watchdog) end() {
	if !w.timer.Stop() {
		w.close() // the next attempt must not be cut off with this one
	}
}

// close lets go of the context.
func (w *watchdog) close() {
	if w.ctx != nil {
		w.timer.Stop()
		w.cancel()
		w.ctx = nil
	}
}
