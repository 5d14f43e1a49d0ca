package jobs

import (
	"time"

	"golang.org/x/time/rate"

	"relay"
)

const (
	// batch is the most messages that one transaction of a job changes. A job with a rate
	// has batches of a twentieth of a second: what it sends again comes evenly, and new messages wait for little of it.
	batch  = 500
	shares = 20
)

// rates holds the limiters of the jobs that run.
type rates map[relay.ID]*rate.Limiter

// sizes holds how many messages a batch of a job has at most, where PostgreSQL refused to change some: it is
// halved until the culprit is alone, and grows again then.
type sizes map[relay.ID]int

// of returns the size of the next batch. The rate allows most messages.
func (s sizes) of(job relay.ID, most int) int {
	if size := s[job]; size > 0 {
		return min(size, most)
	}
	return most
}

// refused halves the batch after one of size messages was refused.
func (s sizes) refused(job relay.ID, size int) { s[job] = max(1, size/2) }

// done lets the batch grow after one of size messages was done.
func (s sizes) done(job relay.ID, size int) {
	if s[job] == 0 {
		return
	}
	if s[job] = 2 * size; s[job] > batch {
		delete(s, job)
	}
}

// allow returns how many messages of a job may be changed now at a rate, and takes them from it. A rate of zero is
// none.
func (r rates) allow(job relay.ID, limit float64, now time.Time) int {
	if limit == 0 {
		delete(r, job)
		return batch
	}
	l := r[job]
	if l == nil || l.Limit() != rate.Limit(limit) { // a person may have changed it
		l = rate.NewLimiter(rate.Limit(limit), min(max(int(limit/shares), 1), batch))
		r[job] = l
	}
	if !l.AllowN(now, l.Burst()) {
		return 0
	}
	return l.Burst()
}

// wait returns how long it takes until a job may have its next batch.
func (r rates) wait(job relay.ID, now time.Time) time.Duration {
	l := r[job]
	if l == nil {
		return 0
	}
	lacks := float64(l.Burst()) - l.TokensAt(now)
	return max(time.Millisecond, time.Duration(lacks/float64(l.Limit())*float64(time.Second)))
}
