package notify

import "container/list"

// recent remembers values by name, in the order in which they were used. It has no lock.
type recent[T any] struct {
	byName map[string]*list.Element
	byUse  list.List // of named[T], the one used last at the front
}

type named[T any] struct {
	name  string
	value T
}

func newRecent[T any]() *recent[T] { return &recent[T]{byName: make(map[string]*list.Element)} }

func (r *recent[T]) len() int { return len(r.byName) }

// find returns what is remembered by a name, without noting that it is used.
func (r *recent[T]) find(name string) (value T, found bool) {
	e := r.byName[name]
	if e == nil {
		return value, false
	}
	return e.Value.(named[T]).value, true
}

// use is find, and notes that it is used.
func (r *recent[T]) use(name string) (value T, found bool) {
	e := r.byName[name]
	if e == nil {
		return value, false
	}
	r.byUse.MoveToFront(e)
	return e.Value.(named[T]).value, true
}

// add remembers a value by a name that is not taken yet.
func (r *recent[T]) add(name string, value T) {
	r.byName[name] = r.byUse.PushFront(named[T]{name, value})
}

// remove forgets what is remembered by a name.
func (r *recent[T]) remove(name string) {
	if e := r.byName[name]; e != nil {
		r.byUse.Remove(e)
		delete(r.byName, name)
	}
}

// oldest yields what is remembered, the one used longest ago first. The loop may remove the
// one that it was given.
func (r *recent[T]) oldest(yield func(string, T) bool) {
	for e := r.byUse.Back(); e != nil; {
		next := e.Prev()
		n := e.Value.(named[T])
		if !yield(n.name, n.value) {
			return
		}
		e = next
	}
}
