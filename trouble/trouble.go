// Package trouble remembers which operations fail at present, so that the same error again is counted and not printed
// again.
package trouble

import (
	"context"
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

// Log notes how operations end. Its methods may be called at the same time.
type Log struct {
	log *slog.Logger

	mu    sync.Mutex
	state map[string]*trouble
}

// New returns a log to which nothing has happened; it prints to log.
func New(log *slog.Logger) *Log { return &Log{log: log, state: make(map[string]*trouble)} }

type trouble struct {
	text    string    // of the last failure
	failed  time.Time // when that was
	printed string
	at      time.Time // when it was printed
	again   int       // failures since the first
}

// NoteDuring is Note for what was done during ctx: an error after its end says nothing.
func (l *Log) NoteDuring(ctx context.Context, operation string, err error) {
	if err == nil || ctx.Err() == nil {
		l.Note(operation, err)
	}
}

// Note records how an operation ended: it prints an error that is new, though not too
// often, and the end of one.
func (l *Log) Note(operation string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.state[operation]
	switch {
	case err == nil && was == nil:
		return
	case err == nil:
		delete(l.state, operation)
		l.log.Info("works again", "operation", operation, "failures", was.again+1)
		return
	case was == nil:
		was = new(trouble)
		l.state[operation] = was
	default:
		was.again++
	}
	err = sql.Plain(err)
	was.text, was.failed = err.Error(), time.Now()
	if was.text == was.printed || time.Since(was.at) < sayAgain {
		return
	}
	was.printed, was.at = was.text, time.Now()
	l.log.Error("fails; it is tried again", "operation", operation, "error", err)
}

// Last returns the error of the operation that failed last, or an empty string if none has
// failed lately.
func (l *Log) Last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text, failed := "", time.Now().Add(-standsFor)
	for operation, trouble := range l.state {
		if trouble.failed.After(failed) {
			text, failed = operation+": "+trouble.text, trouble.failed
		}
	}
	return text
}
