package machine

import "time"

// dues is what is known of due times.
type dues struct {
	m        *Machine
	alarm    alarm // for the earliest that is known
	finding  bool
	searches int           // how often they were searched
	foundAt  time.Duration // when that was last
}

// findBy has what is due found at a time, unless it is found before.
func (d *dues) findBy(at time.Duration) { d.alarm.ringBy(at) }

// find makes what is due ordinary work, when a time has come.
func (d *dues) find() {
	m := d.m
	if d.finding || !d.alarm.popDue() {
		return
	}
	limit := min(m.budget.room(), m.config.Batch)
	if limit == 0 {
		d.findBy(m.now + dueEvery/2)
		return
	}
	if m.now < d.foundAt+dueGap && d.searches > 0 {
		d.findBy(d.foundAt + dueGap)
		return
	}
	d.finding, d.foundAt = true, m.now
	d.searches++
	m.do(FindDue{Limit: limit + len(m.open)})
	m.due.findBy(m.now + dueEvery)
}

func (e Due) apply(m *Machine) {
	m.due.finding = false
	if e.Failed {
		m.due.findBy(m.now + dueEvery/2)
		return
	}
	for i := range e.Messages {
		m.reports.heard(&e.Messages[i], false)
	}
	for _, d := range e.Deliveries {
		m.entries.readDue(d)
	}
	if e.Next >= 0 {
		m.due.findBy(m.now + e.Next)
	}
}
