package simulate

import (
	"time"

	"relay/reconcile/machine"
)

// stream shows transactions in the order of their commits, to the relay that owns shard 0,
// which tells the others.
type stream struct {
	log    []int // transactions
	last   time.Duration
	broken int  // how often it broke off
	gap    bool // something was lost and this was not said yet
	blind  bool
	slow   bool
	holder int
	life   int
}

// committed plans that a transaction is shown.
func (s *stream) committed(w *world, tx int) {
	if s.blind {
		return
	}
	s.log = append(s.log, tx)
	s.plan(w, tx)
}

func (s *stream) plan(w *world, tx int) {
	delay := w.rngs[rngStream].upTo(4 * time.Millisecond)
	if s.slow {
		delay = w.rngs[rngStream].upTo(800 * time.Millisecond)
	}
	s.last = max(s.last, w.now+delay)
	w.at(s.last, happening{kind: doReport, a: tx, b: s.broken})
}

// repeat shows again what was committed lately.
func (s *stream) repeat(w *world, n int) {
	for _, tx := range s.log[max(0, len(s.log)-n):] {
		s.plan(w, tx)
	}
	w.say("The stream repeats the last %d transactions.", n)
}

// disconnect loses what was not shown yet.
func (s *stream) disconnect(w *world) {
	s.broken++
	s.gap = true
	s.last = max(s.last, w.now+100*time.Millisecond)
	w.say("The stream breaks off, and what it had not shown is lost.")
	w.at(s.last, happening{kind: doReport, a: -1, b: s.broken})
}

// show shows a transaction.
func (s *stream) show(w *world, x *happening) {
	if x.b != s.broken {
		return
	}
	holder := w.holder()
	if holder == nil {
		s.gap = true
		return
	}
	if holder.id != s.holder || holder.life != s.life {
		s.holder, s.life, s.gap = holder.id, holder.life, true
	}
	for _, p := range w.relays {
		if !p.alive {
			continue
		}
		p.heard = max(p.heard, w.now)
		if p != holder {
			p.heard = max(p.heard, w.now+w.rngs[rngStream].upTo(5*time.Millisecond))
		}
		if s.gap {
			w.at(p.heard, happening{kind: doEvent, relay: p.id, life: p.life, event: machine.Gap{}})
		}
		if x.a >= 0 {
			w.at(p.heard, happening{kind: doEvent, relay: p.id, life: p.life, event: w.db.reported(x.a)})
		}
	}
	if x.a >= 0 && w.tell != nil {
		w.say("The stream shows transaction %d.", x.a+1)
	}
	s.gap = false
}

// holder is the relay that hears the stream.
func (w *world) holder() *process {
	for _, p := range w.relays {
		if p.alive && p.owns[0] && p.frozen <= w.now {
			return p
		}
	}
	return nil
}

func (d *database) reported(tx int) machine.Reported {
	rows := make([]machine.Report, 0, len(d.txs[tx].rows))
	for _, i := range d.txs[tx].rows {
		rows = append(rows, d.report(&d.rows[i], true))
	}
	return machine.Reported{Rows: rows}
}
