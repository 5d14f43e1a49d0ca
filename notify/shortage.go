package notify

import (
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"relay"
)

// What the relay itself lacks stops attempts for a pause that grows from minShortage to
// maxShortage while the shortage lasts. One that was not seen for shortageOver is over.
const (
	minShortage  = time.Second
	maxShortage  = 10 * time.Second
	shortageOver = 3 * maxShortage
)

// shortages knows what the relay itself lacks at present. The same shortage again is
// counted, not logged.
type shortages struct {
	log     *slog.Logger
	metrics *Metrics

	mu      sync.Mutex
	present map[relay.Resource]*shortage
}

type shortage struct {
	since, last time.Time
	attempts    int
}

func newShortages(log *slog.Logger, metrics *Metrics) *shortages {
	return &shortages{log: log, metrics: metrics, present: make(map[relay.Resource]*shortage)}
}

// note takes an attempt that could not be made for want of a resource, and returns when it
// is to be made again.
func (s *shortages) note(lack relay.Resource, text string, now time.Time) time.Duration {
	s.metrics.shortage(lack)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.present[lack]
	if p == nil {
		p = &shortage{since: now}
		s.present[lack] = p
		s.log.Warn("the relay itself lacks something: attempts that need it do not count and are made again", "resource", string(lack), "error", text)
	}
	p.last = now
	p.attempts++
	pause := min(max(now.Sub(p.since)/2, minShortage), maxShortage)
	return pause + rand.N(pause/5)
}

// expire ends shortages that were not seen for long.
func (s *shortages) expire(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for lack, p := range s.present {
		if now.Sub(p.last) > shortageOver {
			delete(s.present, lack)
			s.log.Info("the relay lacks it no more", "resource", string(lack), "attempts", p.attempts, "lasted", p.last.Sub(p.since).Round(time.Second))
		}
	}
}
