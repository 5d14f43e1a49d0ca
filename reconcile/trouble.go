package reconcile

import (
	"log/slog"
	"sync"
	"time"

	"relay/sql"
)

// sayAgain is how often a failing operation may say why: a lost connection words itself
// anew at each try, if only by the number of a port.
const sayAgain = 10 * time.Second

// standsFor is how long a failure stands that neither comes again nor is followed by a
// success: some operations are seldom asked for.
const standsFor = time.Minute

// troubles remembers which operations fail at present, so that the same error again is
// counted and not printed again.
type troubles struct {
	log *slog.Logger

	mu    sync.Mutex
	state map[string]*trouble
}

type trouble struct {
	text    string    // of the last failure
	failed  time.Time // when that was
	printed string
	at      time.Time // when it was printed
	again   int       // failures since the first
}

// note records how an operation ended: it prints an error that is new, though not too
// often, and the end of one.
func (t *troubles) note(operation string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.state[operation]
	switch {
	case err == nil && was == nil:
		return
	case err == nil:
		delete(t.state, operation)
		t.log.Info("works again", "operation", operation, "failures", was.again+1)
		return
	case was == nil:
		if t.state == nil {
			t.state = make(map[string]*trouble)
		}
		was = new(trouble)
		t.state[operation] = was
	default:
		was.again++
	}
	err = sql.Plain(err)
	was.text, was.failed = err.Error(), time.Now()
	if was.text == was.printed || time.Since(was.at) < sayAgain {
		return
	}
	was.printed, was.at = was.text, time.Now()
	t.log.Error("fails; it is tried again", "operation", operation, "error", err)
}

// last returns the error of the operation that failed last, or an empty string if none has
// failed lately.
func (t *troubles) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text, failed := "", time.Now().Add(-standsFor)
	for operation, trouble := range t.state {
		if trouble.failed.After(failed) {
			text, failed = operation+": "+trouble.text, trouble.failed
		}
	}
	return text
}
