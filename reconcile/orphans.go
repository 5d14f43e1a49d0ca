package reconcile

import (
	"context"
	"sync"

	"relay/sql"
)

// orphans collects deliveries that may be unfinished although their message has ended or is gone. They are ended
// beside the readers that found them.
type orphans struct {
	ready chan struct{}

	mu    sync.Mutex
	lines map[sql.DeliveryID]sql.Line
}

func newOrphans() *orphans {
	return &orphans{ready: make(chan struct{}, 1), lines: make(map[sql.DeliveryID]sql.Line)}
}

// add notes a delivery with its line, in which others may wait for it.
func (o *orphans) add(id sql.DeliveryID, line sql.Line) {
	o.mu.Lock()
	o.lines[id] = line
	o.mu.Unlock()
	poke(o.ready)
}

func (o *orphans) take() (ids []sql.DeliveryID, lines []sql.Line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, line := range o.lines {
		if len(ids) == readBatch {
			poke(o.ready)
			break
		}
		ids, lines = append(ids, id), append(lines, line)
		delete(o.lines, id)
	}
	return ids, lines
}

// endOrphans ends orphaned deliveries until ctx ends. One that cannot be ended is found again when it is due.
func (e *isolator) endOrphans(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.orphans.ready:
		}
		ids, lines := e.orphans.take()
		var free []sql.DeliveryID
		for _, id := range ids {
			if !e.quarantine.waits(subject{operation: endOrphan, id: id}) {
				free = append(free, id)
			}
		}
		err := inHalves(ctx, free, func(some []sql.DeliveryID) error {
			return e.config.Store.EndOrphans(ctx, some)
		}, func(id sql.DeliveryID, why error) { e.isolate(subject{operation: endOrphan, id: id}, why) })
		e.trouble.note("end orphaned deliveries", ignoreEnd(ctx, err))
		e.waker.add(lines...) // what waited behind them may go
	}
}
