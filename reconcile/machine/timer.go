package machine

import "time"

// timer says when an entry or a key wants to be looked at. One that is not wanted any more
// fires all the same; its owner knows.
type timer struct {
	at    time.Duration
	entry *entry
	key   *key
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

// wakeUp asks for a tick at a time that belongs to neither an entry nor a key.
func (t *timers) wakeUp(at time.Duration) { t.add(timer{at: at}) }
