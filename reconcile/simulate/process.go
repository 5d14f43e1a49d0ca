package simulate

import (
	"time"

	"relay"
	"relay/reconcile/machine"
	"relay/retry"
)

const (
	leaseTTL   = 1500 * time.Millisecond
	renewEvery = 400 * time.Millisecond
	sweepEvery = 4 * time.Second
	acksEvery  = 200 * time.Millisecond
)

// process is one relay: the machine, and the loop around it.
type process struct {
	id      int
	life    int // how often it was started
	alive   bool
	leaving bool
	frozen  time.Duration
	born    time.Duration
	m       *machine.Machine
	owns    [shards]bool
	epochs  [shards]int64
	tickAt  time.Duration
	swept   [2]int // how far the sweep of each group has come
	version int    // of the subscriptions
	heard   time.Duration
	shown   []shown // rows that the stream has shown it before SQL did
}

// shown is a row that a relay knows from the stream, since when.
type shown struct {
	row int
	at  time.Duration
}

// sweepEvery is shorter where what sweeps find may not be durable.
func (h *history) sweepEvery() time.Duration {
	if h.async {
		return 100 * time.Millisecond
	}
	return sweepEvery
}

func (w *world) addRelay(at time.Duration) {
	p := &process{id: len(w.relays)}
	w.relays = append(w.relays, p)
	w.db.lives = append(w.db.lives, sign{})
	w.at(at, happening{kind: doStart, relay: p.id})
}

// start begins a new life of a relay.
func (w *world) start(p *process) {
	h := w.h
	*p = process{id: p.id, life: p.life + 1, alive: true, born: w.now, tickAt: -1, version: -1, heard: w.now}
	p.m = machine.New(machine.Config{
		Policy:  retry.Policy{Backoff: []time.Duration{200 * time.Millisecond, 600 * time.Millisecond}, MaxAttempts: h.attempts, GiveUpAfter: h.giveUp},
		Entries: h.entries, Bytes: h.bytes, ReadAhead: h.readAhead, MostAhead: 4 * h.readAhead, Batch: 5, Seed: h.seed,
		Sweeps: []int{5, 2}[:h.groups],
	})
	w.say("Relay %d starts.", p.id)
	w.renew(p)
	w.in(h.sweepEvery(), happening{kind: doSweep, relay: p.id, life: p.life})
	if h.acks {
		w.in(acksEvery, happening{kind: doFindAcks, relay: p.id, life: p.life})
	}
}

// die ends a relay at once; the connections of its attempts end with it.
func (w *world) die(p *process) {
	for i := range w.db.rows {
		for j := range w.db.rows[i].subs {
			s := &w.db.rows[i].subs[j]
			for k := len(s.underWay) - 1; k >= 0; k-- {
				if f := s.underWay[k]; f.relay == p.id && f.life == p.life {
					s.underWay = append(s.underWay[:k], s.underWay[k+1:]...)
					w.dests[j].active--
				}
			}
		}
	}
	p.alive = false
	p.life++
}

// clock is the relay's monotonic clock.
func (p *process) clock(w *world) time.Duration { return w.now - p.born }

// holds reports whether a shard is the relay's, as the table says.
func (p *process) holds(d *database, shard int16) bool {
	l := &d.leases[shard]
	return l.owner == p.id && l.life == p.life
}

// onRelay has something happen at a relay, unless it has died; if it is frozen, later.
func (w *world) onRelay(x *happening) {
	p := w.relays[x.relay]
	switch x.kind {
	case doStart:
		if p.leaving && p.alive {
			w.die(p)
		}
		if !p.alive {
			w.start(p)
		}
		return
	case doCommand:
		w.execute(p, x)
		return
	case doReport:
		w.stream.show(w, x)
		return
	}
	if !p.alive || p.life != x.life {
		return
	}
	if p.frozen > w.now {
		w.at(p.frozen, *x)
		return
	}
	switch x.kind {
	case doEvent:
		w.step(p, x.event)
	case doTick:
		if time.Duration(x.a) == p.tickAt {
			w.step(p, machine.Tick{})
		}
	case doSend:
		w.send(p, x.command.(machine.Send), time.Duration(x.b))
	case doRenew:
		w.renew(p)
	case doSweep:
		for group := range w.h.groups {
			w.step(p, machine.SweepNow{Group: group, All: w.h.named && w.now < healed/2+time.Second})
		}
		w.overdue(p)
		w.in(w.h.sweepEvery(), happening{kind: doSweep, relay: p.id, life: p.life})
	case doFindAcks:
		w.findAcks(p)
	}
}

// step gives the machine an event, and has its commands carried out.
func (w *world) step(p *process, e machine.Event) {
	if ended, ok := e.(machine.AttemptEnded); ok {
		w.told(p, &ended)
	}
	w.notes(p, e)
	_, before := p.m.Blocked()
	for _, c := range p.m.Step(p.clock(w), e) {
		if send, ok := c.(machine.Send); ok {
			w.checkBlocked(p, &send, before)
		}
		w.carryOut(p, c)
	}
	w.checkBudget(p)
}

// notes remembers what the stream has shown to a relay, as long as it has to remember it, too.
func (w *world) notes(p *process, e machine.Event) {
	switch e := e.(type) {
	case machine.Gap, machine.Leased, machine.Lost, machine.Drain, machine.Stop:
		p.shown = p.shown[:0]
	case machine.Reported:
		if p.m.Held().Entries+len(e.Rows) >= w.h.entries/2 {
			return // there may be no room for it
		}
		for i := range e.Rows {
			if r := &w.db.rows[rowOf(e.Rows[i].ID)]; r.key >= 0 && p.owns[r.shard] && !r.delayed && r.visible > w.now {
				p.shown = append(p.shown, shown{row: int(r.seq - 1), at: w.now})
			}
		}
	}
}

// carryOut plans what a command asks for.
func (w *world) carryOut(p *process, c machine.Command) {
	x := happening{kind: doCommand, relay: p.id, life: p.life, command: c}
	switch c := c.(type) {
	case machine.Send:
		x.kind, x.b = doSend, int(w.now)
		w.in(w.rngs[rngSends].upTo(3*time.Millisecond), x)
	case machine.WakeAt:
		p.tickAt = c.At
		w.at(p.born+c.At, happening{kind: doTick, relay: p.id, life: p.life, a: int(c.At)})
	case machine.Release:
		w.release(p, c.Shard)
	case machine.EndOrphan:
		w.db.endOrphan(c.ID)
		if c.Key != "" {
			w.in(time.Millisecond, happening{kind: doEvent, relay: p.id, life: p.life, event: machine.KeysFreed{Keys: []machine.Report{{Key: c.Key, Shard: c.Shard}}}})
		}
	case machine.Missed:
	case machine.Write:
		w.in(w.latency(rngWrites, w.db.writes), x)
	case machine.AskRoom:
		w.in(20*time.Millisecond, x)
	default:
		w.in(w.latency(rngReads, w.db.reads), x)
	}
}

func (w *world) latency(rng int, f fault) time.Duration {
	most := 3 * time.Millisecond
	if w.rngs[rng].one(10) {
		most = 60 * time.Millisecond
	}
	if f == slow {
		most = 1500 * time.Millisecond
	}
	return 200*time.Microsecond + w.rngs[rng].upTo(most)
}

// answer tells a relay what came of a statement.
func (w *world) answer(p *process, x *happening, e machine.Event) {
	late := 2 * time.Millisecond
	if _, write := x.command.(machine.Write); !write && w.db.reads == slow {
		late = 300 * time.Millisecond
	}
	if p.life == x.life {
		w.in(200*time.Microsecond+w.rngs[rngReads].upTo(late), happening{kind: doEvent, relay: p.id, life: x.life, event: e})
	}
}

// execute runs a statement. One that a relay sent before it died runs all the same.
func (w *world) execute(p *process, x *happening) {
	if write, ok := x.command.(machine.Write); ok {
		w.executeWrite(p, x, &write)
		return
	}
	if p.life != x.life {
		return
	}
	failed := w.db.reads == fails || w.db.reads == sometimesFails && w.rngs[rngReads].one(2)
	switch c := x.command.(type) {
	case machine.ReadKey:
		out := machine.KeyRead{Key: c.Key, Failed: failed}
		if !failed {
			out = w.db.readKey(c)
		}
		w.answer(p, x, out)
	case machine.ReadAck:
		out := machine.AckRead{Entry: c.Entry, None: true}
		if !failed {
			out = w.db.readAck(c)
		}
		w.answer(p, x, out)
	case machine.ReadRow:
		out := machine.RowRead{Entry: c.Entry, Failed: failed}
		if !failed {
			out = w.db.readRow(c)
		}
		w.answer(p, x, out)
	case machine.Sweep:
		out := machine.Swept{Group: c.Group, Failed: failed}
		if !failed {
			out = w.db.sweep(p, c)
		}
		w.answer(p, x, out)
	case machine.FindDue:
		out := machine.Due{Next: -1, Failed: failed}
		if !failed {
			out = w.db.findDue(p, c.Limit)
		}
		w.answer(p, x, out)
	case machine.ReadParked:
		out := machine.Parked{Destination: c.Destination, Failed: failed}
		if !failed {
			out = w.db.readParked(p, c)
		}
		w.answer(p, x, out)
	case machine.FindBacklog:
		out := machine.Backlog{Failed: failed}
		if !failed {
			out = w.db.backlog(c)
		}
		w.answer(p, x, out)
	case machine.AskRoom:
		w.room(p, x, c.Destination)
	}
}

func (w *world) executeWrite(p *process, x *happening, c *machine.Write) {
	f := w.db.writes
	if f == sometimesFails {
		f = []fault{0, fails, losesAnswers}[w.rngs[rngWrites].below(3)]
	}
	why := machine.WhyUnknown
	if f != fails {
		// The life is the one that the write was sent in.
		why = w.db.write(&process{id: p.id, life: x.life}, c)
	}
	switch {
	case f == losesAnswers:
		w.answer(p, x, machine.NotWritten{Entry: c.Entry, Why: machine.WhyUnknown})
	case why == 0:
		w.answer(p, x, machine.Written{Entry: c.Entry})
	default:
		w.answer(p, x, machine.NotWritten{Entry: c.Entry, Why: why, Text: "refused"})
	}
}

// renew renews a relay's leases, takes what is free, and gives up what exceeds its share.
func (w *world) renew(p *process) {
	d := &w.db
	w.in(renewEvery, happening{kind: doRenew, relay: p.id, life: p.life})
	d.lives[p.id] = sign{beat: w.now, here: !p.leaving}
	relays, owned := 0, 0
	for i := range d.lives {
		if d.lives[i].here && w.now-d.lives[i].beat <= leaseTTL && d.lives[i].beat > 0 || i == p.id && !p.leaving {
			relays++
		}
	}
	share := 0
	if !p.leaving {
		share = (shards + relays - 1) / relays
	}
	for i := range d.leases {
		if p.holds(d, int16(i)) {
			d.leases[i].beat = w.now
			owned++
		}
	}
	for i := range d.leases {
		l := &d.leases[i]
		if owned < share && (l.owner < 0 || w.now-l.beat > leaseTTL) {
			*l = lease{owner: p.id, life: p.life, epoch: l.epoch + 1, beat: w.now}
			owned++
		}
	}
	w.learnLeases(p, owned-share)
	w.step(p, machine.Renewed{Until: p.clock(w) + leaseTTL})
	if p.version != d.version {
		p.version = d.version
		settings := make(map[string]*relay.Subscriber, len(w.subs))
		for _, s := range w.subs {
			settings[s.Name] = s
		}
		w.step(p, machine.Subscribed{Subscribers: settings})
	}
}

// learnLeases tells a relay which shards are its own, and how many exceed its share.
func (w *world) learnLeases(p *process, excess int) {
	d := &w.db
	for i := shards - 1; i >= 0; i-- {
		l := &d.leases[i]
		mine := p.holds(d, int16(i))
		switch {
		case !mine && p.owns[i]:
			p.owns[i] = false
			w.step(p, machine.Lost{Shard: int16(i)})
		case mine && excess > 0:
			excess--
			if p.owns[i] {
				w.step(p, machine.Drain{Shard: int16(i)})
			}
		case mine:
			if !p.owns[i] || p.epochs[i] != l.epoch {
				w.say("Relay %d owns shard %d under epoch %d.", p.id, i, l.epoch)
			}
			p.owns[i], p.epochs[i] = true, l.epoch
			w.step(p, machine.Leased{Shard: int16(i), Epoch: l.epoch})
		}
	}
}

func (w *world) release(p *process, shard int16) {
	for i := range w.db.rows {
		for j := range w.db.rows[i].subs {
			for _, f := range w.db.rows[i].subs[j].underWay {
				if w.db.rows[i].shard == shard && f.relay == p.id && f.life == p.life {
					w.fail("relay %d releases shard %d while message %d is under way to %s", p.id, shard, i+1, subNames[j])
				}
			}
		}
	}
	p.owns[shard] = false
	if p.holds(&w.db, shard) {
		w.db.leases[shard].owner = -1
		w.say("Relay %d releases shard %d.", p.id, shard)
	}
}
