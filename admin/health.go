package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"relay/operate"
)

// DefaultProbeTimeout bounds one round of probes where NewHealth is given no bound: below
// the second after which Kubernetes gives up on a probe unless told otherwise.
const DefaultProbeTimeout = 900 * time.Millisecond

// Probe is one thing that /readyz looks at.
type Probe struct {
	// Name begins the probe's line in the answer.
	Name string
	// Decides says that the relay is not ready while the probe fails. Others only inform:
	// a dead broker must not fail a rollout.
	Decides bool
	// Check returns a few words on the state, which may be empty, or why it is bad: an error that is no
	// operate.Words is taken for operate.StateFailed. Health shows both, Brief neither. No secret may
	// stand there. It should return when ctx ends; what it returns later is thrown away.
	Check func(ctx context.Context) (operate.Words, error)
}

// Health answers /readyz from a list of probes.
type Health struct {
	probes  []Probe
	timeout time.Duration
	rounds  singleflight.Group
}

// NewHealth returns a Health that asks probes, all at once and together for no longer
// than timeout. A timeout of zero means DefaultProbeTimeout.
func NewHealth(timeout time.Duration, probes ...Probe) *Health {
	if timeout <= 0 {
		timeout = DefaultProbeTimeout
	}
	return &Health{probes: probes, timeout: timeout}
}

// finding is what one probe found.
type finding struct {
	probe Probe
	state operate.Words
	err   error
}

// ServeHTTP answers 200 if every deciding probe is well, else 503, with a line of text
// for the whole and one for each probe. Requests at the same time share one round, so
// that many of them cost the database no more than one.
func (h *Health) ServeHTTP(w http.ResponseWriter, _ *http.Request) { h.serve(w, finding.line) }

// Brief answers as Health does, with no word but the names of the probes and whether they are
// well: a client of the address learns no host, no database and no error.
func (h *Health) Brief() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { h.serve(w, finding.briefLine) })
}

func (h *Health) serve(w http.ResponseWriter, line func(finding) string) {
	shared, _, _ := h.rounds.Do("", func() (any, error) { return h.round(), nil })
	findings := shared.([]finding)
	code, verdict := http.StatusOK, "ready"
	var lines strings.Builder
	for _, f := range findings {
		lines.WriteString(line(f))
		if f.err != nil && f.probe.Decides {
			code, verdict = http.StatusServiceUnavailable, "not ready"
		}
	}
	answer(w, code, verdict+"\n"+lines.String())
}

// Conditions returns what the probes find, in their order. It shares a round with requests at the same time.
func (h *Health) Conditions() (conditions []operate.Condition) {
	shared, _, _ := h.rounds.Do("", func() (any, error) { return h.round(), nil })
	for _, f := range shared.([]finding) {
		words := f.words()
		conditions = append(conditions, operate.Condition{
			Name: f.probe.Name, Well: f.err == nil, Decides: f.probe.Decides, Text: strings.Join(strings.Fields(words.Text), " "),
			State: words.State, Values: words.Values,
		})
	}
	return conditions
}

// words are the finding's own, whether it is good or bad.
func (f finding) words() operate.Words {
	var bad operate.Words
	switch {
	case f.err == nil:
		return f.state
	case errors.As(f.err, &bad):
		return bad
	}
	return operate.Words{State: operate.StateFailed, Text: f.err.Error()}
}

// round asks every probe and returns their findings in the order of the probes.
func (h *Health) round() []finding {
	ctx, cancel := context.WithTimeout(context.Background(), h.timeout)
	defer cancel()
	findings := make([]finding, len(h.probes))
	var all sync.WaitGroup
	for i, p := range h.probes {
		all.Go(func() { findings[i] = ask(ctx, p) })
	}
	all.Wait()
	return findings
}

// ask returns by the end of ctx, even if the probe does not.
func ask(ctx context.Context, p Probe) finding {
	found := make(chan finding, 1)
	go func() {
		f := finding{probe: p}
		defer func() {
			if broken := recover(); broken != nil {
				f.err = fmt.Errorf("the probe panicked: %v", broken)
			}
			found <- f
		}()
		f.state, f.err = p.Check(ctx)
	}()
	select {
	case f := <-found:
		return f
	case <-ctx.Done():
		return finding{probe: p, err: operate.Words{State: operate.StateNoAnswer, Text: "no answer in time"}}
	}
}

// indecisive follows a failure that does not decide whether the relay is ready.
const indecisive = " (does not decide readiness)"

// line returns the finding as one line of text.
func (f finding) line() string {
	words := []string{f.probe.Name + ": ok"}
	if f.err != nil {
		words = []string{f.probe.Name + ": failed", f.err.Error()}
	} else if f.state.Text != "" {
		words = append(words, f.state.Text)
	}
	text := strings.Join(words, ": ")
	if f.err != nil && !f.probe.Decides {
		text += indecisive
	}
	return strings.Join(strings.Fields(text), " ") + "\n"
}

// briefLine returns the finding without the probe's own words.
func (f finding) briefLine() string {
	f.state = operate.Words{}
	if f.err == nil {
		return f.line()
	}
	text := f.probe.Name + ": failed"
	if !f.probe.Decides {
		text += indecisive
	}
	return text + "\n"
}

// answer writes plain text that no cache should keep.
func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	// An error means that the reader has gone away, so there is no reader to report it to.
	_, _ = w.Write([]byte(text))
}
