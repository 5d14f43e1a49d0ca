package machine

import (
	"container/heap"
	"time"
)

// timer says when an entry or a key wants to act. One that has become needless fires all the same; its owner knows.
type timer struct {
	at time.Duration
	of reader // nil: the step itself is all that is wanted
}

// timers is a heap of times: the earliest is the first.
type timers []timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at < t[j].at }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *timers) Push(one any)      { *t = append(*t, one.(timer)) }

func (t *timers) Pop() any {
	last := (*t)[len(*t)-1]
	(*t)[len(*t)-1] = timer{}
	*t = (*t)[:len(*t)-1]
	return last
}

// add notes a time.
func (t *timers) add(one timer) { heap.Push(t, one) }

// popDue takes the earliest timer if its time has come.
func (t *timers) popDue(now time.Duration) (first timer, due bool) {
	if len(*t) == 0 || (*t)[0].at > now {
		return timer{}, false
	}
	return heap.Pop(t).(timer), true
}

// alarm is a time that belongs to neither an entry nor a key. Each step in which the machine may read looks at it.
type alarm struct {
	m   *Machine
	at  time.Duration
	set bool
}

// ringBy has it ring at a time, unless it rings before. What is to ring now needs no timer: this step looks at it.
func (a *alarm) ringBy(at time.Duration) {
	if a.set && a.at <= at {
		return
	}
	if a.at, a.set = at, true; at > a.m.now {
		a.m.timers.add(timer{at: at})
	}
}

// popDue reports whether its time has come; then it is set no more.
func (a *alarm) popDue() bool {
	if !a.set || a.m.now < a.at {
		return false
	}
	a.set = false
	return true
}
