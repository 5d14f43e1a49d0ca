package machine

import "time"

// timer says when an entry or a key wants to be looked at. One that is not wanted any more
// fires all the same; its owner knows.
type timer struct {
	at time.Duration
	of reader // nil: the step itself is all that is wanted
}

// timers is a heap of times (Williams, "Algorithm 232: Heapsort", 1964).
type timers struct{ heap []timer }

// next returns the earliest time.
func (t *timers) next() (at time.Duration, some bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].at, true
}

// add notes a time.
func (t *timers) add(at timer) {
	t.heap = append(t.heap, at)
	for i := len(t.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if t.heap[parent].at <= t.heap[i].at {
			break
		}
		t.heap[parent], t.heap[i] = t.heap[i], t.heap[parent]
		i = parent
	}
}

// pop takes the earliest timer if its time has come.
func (t *timers) pop(now time.Duration) (first timer, due bool) {
	if len(t.heap) == 0 || t.heap[0].at > now {
		return timer{}, false
	}
	first = t.heap[0]
	last := len(t.heap) - 1
	t.heap[0] = t.heap[last]
	t.heap[last] = timer{}
	t.heap = t.heap[:last]
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < last && t.heap[child].at < t.heap[least].at {
				least = child
			}
		}
		if least == i {
			return first, true
		}
		t.heap[least], t.heap[i] = t.heap[i], t.heap[least]
		i = least
	}
}

// alarm is a time that belongs to neither an entry nor a key: the machine looks at it in each step in which it may read.
type alarm struct {
	m   *Machine
	at  time.Duration
	set bool
}

// ring has it ring at a time, unless it rings before. What is to ring now needs no timer: this step looks at it.
func (a *alarm) ring(at time.Duration) {
	if a.set && a.at <= at {
		return
	}
	if a.at, a.set = at, true; at > a.m.now {
		a.m.timers.add(timer{at: at})
	}
}

// rings reports whether its time has come; then it is set no more.
func (a *alarm) rings() bool {
	if !a.set || a.m.now < a.at {
		return false
	}
	a.set = false
	return true
}
