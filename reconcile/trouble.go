package reconcile

import (
	"log/slog"
	"sync"
)

// troubles remembers which operations fail at present, so that the same error again is
// counted and not printed again.
type troubles struct {
	log *slog.Logger

	mu    sync.Mutex
	state map[string]*trouble
}

type trouble struct {
	text  string
	again int
}

// note records how an operation ended: it prints an error that is new, and the end of one.
func (t *troubles) note(operation string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.state[operation]
	switch {
	case err == nil && was == nil:
	case err == nil:
		delete(t.state, operation)
		t.log.Info("works again", "operation", operation, "failures", was.again+1)
	case was != nil && was.text == err.Error():
		was.again++
	default:
		if t.state == nil {
			t.state = make(map[string]*trouble)
		}
		t.state[operation] = &trouble{text: err.Error()}
		t.log.Error("fails; it is tried again", "operation", operation, "error", err)
	}
}

// last returns one of the errors that stand at present, or an empty string.
func (t *troubles) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for operation, trouble := range t.state {
		return operation + ": " + trouble.text
	}
	return ""
}
